// SPDX-License-Identifier: Apache-2.0

import Broker
import GodwitNode
import KafkaWire
import LogModel
import LogStorage
import NIOCore

/// One connection of a client to a node: bytes go one way and come back the other, in order, until it breaks.
///
/// As on TCP, what was sent before a connection broke may still be read and carried out by the node afterwards.
final class ClientLine {
    private unowned let world: World
    let number: Int
    let client: String
    let place: Int
    /// Which life of the node it leads to.
    private let life: Int
    private(set) var isOpen = true
    private var lastCorrelation: Int32 = 0
    /// What the client waits for, by correlation id.
    private var waiting: [Int32: (ByteBuffer?) -> Void] = [:]
    private var lastArrival: UInt64 = 0
    private var lastReturn: UInt64 = 0
    /// The node's side: requests in the order in which they came, answered in that order.
    private var slots: [Slot] = []
    /// The client's side was told of the end; the node may still read what came before.
    private var isNodeGone = false

    private struct Slot {
        let correlation: Int32
        let expectsAnswer: Bool
        /// `nil` until it is answered.
        var answer: CallReply<SimFileSystem>?
    }

    init(world: World, client: String, place: Int) {
        self.world = world
        self.client = client
        self.place = place
        life = world.machines[place].life
        number = world.nextLine
        world.nextLine += 1
        world.lines.append(self)
    }

    // MARK: - The way there

    /// The correlation id of the next request.
    func nextCorrelation() -> Int32 {
        lastCorrelation += 1
        return lastCorrelation
    }

    /// Sends a request's frame, length included.
    ///
    /// - Parameter then: told the answer's frame without its length, or `nil` when the connection broke first. Never
    ///   called when `expectsAnswer` is false.
    func send(
        _ frame: ByteBuffer, correlation: Int32, expectsAnswer: Bool, timeout: UInt64,
        then: @escaping (ByteBuffer?) -> Void
    ) {
        guard isOpen else { return world.schedule(after: 1) { if expectsAnswer { then(nil) } } }
        if expectsAnswer { waiting[correlation] = then }
        world.schedule(after: timeout) {
            if self.waiting[correlation] != nil { self.close(reason: "nothing came in time") }
        }
        world.statistics.requests += 1
        let machine = world.machines[place]
        if machine.life != life || !machine.isServing { return refuse() }
        // The connection is reset while these bytes travel: the node gets less than a whole frame of it.
        if !world.isCalm, world.random.chance(perMille: world.climate.resetPerMille) { return resetSoon() }
        let delay = 20_000 + world.random.span(mean: world.climate.clientDelay)
        let arrival = max(world.now + delay, lastArrival + 1)
        lastArrival = arrival
        world.schedule(on: place, life: life, after: arrival - world.now) {
            self.arrive(frame, correlation, expectsAnswer)
        }
    }

    private func arrive(_ frame: ByteBuffer, _ correlation: Int32, _ expectsAnswer: Bool) {
        let machine = world.machines[place]
        guard !isNodeGone, let cell = machine.cell, machine.isServing else { return refuse() }
        world.digest.add(world.now)
        world.digest.add(number)
        var body = frame
        body.moveReaderIndex(forwardBy: 4)
        if let forged = world.forgedFetch(body, at: machine) {
            slots.append(Slot(correlation: correlation, expectsAnswer: true, answer: .encoded(forged)))
            return answerInOrder()
        }
        slots.append(Slot(correlation: correlation, expectsAnswer: expectsAnswer, answer: nil))
        cell.broker.handle(body, host: "/\(client)") { reply in
            guard let slot = self.slots.firstIndex(where: { $0.correlation == correlation && $0.answer == nil }) else {
                return
            }
            self.slots[slot].answer = self.world.forgedEnds(reply, to: body) ?? reply
            self.answerInOrder()
        }
    }

    /// Nobody listens there yet.
    private func refuse() {
        world.schedule(after: 20_000 + world.random.span(mean: world.climate.clientDelay)) {
            self.close(reason: "refused")
        }
    }

    // MARK: - The way back

    private func answerInOrder() {
        while let slot = slots.first, let answer = slot.answer {
            slots.removeFirst()
            switch answer {
            case .none: break
            case .encoded(let bytes): depart(slot.correlation) { bytes }
            case .frame(let frame, let pieces): depart(slot.correlation) { Self.joined(frame, pieces) }
            // All that a client which wants no answer can be told.
            case .close where !slot.expectsAnswer: return resetSoon()
            // Others know better.
            case .close where world.machines[place].cell?.broker.view.isCutOff ?? false: return resetSoon()
            case .close(let reason):
                world.broke(Violation(.requestsEnd, "n\(place) closed the connection of \(client): \(reason)"))
            }
        }
    }

    /// - Parameter bytes: called when the system gets to send, which is when files are read (`sendfile`).
    private func depart(_ correlation: Int32, _ bytes: @escaping () -> ByteBuffer?) {
        if !world.isCalm, world.random.chance(perMille: world.climate.resetPerMille) { return resetSoon() }
        let delay = 20_000 + world.random.span(mean: world.climate.clientDelay)
        let arrival = max(world.now + delay, lastReturn + 1)
        lastReturn = arrival
        let sending = world.random.next() % (arrival - world.now)
        world.schedule(on: place, life: life, after: sending) {
            guard let answer = bytes() else { return self.resetSoon() }
            self.world.schedule(after: max(arrival, self.world.now) - self.world.now) {
                self.receive(answer, correlation)
            }
        }
    }

    private func receive(_ frame: ByteBuffer, _ correlation: Int32) {
        guard isOpen, let then = waiting.removeValue(forKey: correlation) else { return }
        var body = frame
        guard let length = body.readInteger(as: Int32.self), Int(length) == body.readableBytes else {
            return world.broke(Violation(.requestsEnd, "n\(place) answered \(client) with a frame of a wrong length"))
        }
        then(body)
    }

    /// The frame cut at its splices, with the record batches in their places; `nil` when a file is shorter than it was.
    private static func joined(_ frame: EncodedFrame, _ pieces: [[FetchPiece<SimFile>]]) -> ByteBuffer? {
        guard !frame.splices.isEmpty else { return frame.bytes }
        precondition(frame.splices.count == pieces.count, "every splice has its pieces")
        var bytes = frame.bytes
        var joined = ByteBuffer()
        var at = 0
        for (splice, pieces) in zip(frame.splices, pieces) {
            if let before = bytes.readSlice(length: splice.at - at) { joined.writeImmutableBuffer(before) }
            at = splice.at
            for piece in pieces {
                guard let content = try? piece.content(), content.readableBytes == Int(piece.size.rawValue) else {
                    return nil
                }
                joined.writeImmutableBuffer(content)
            }
        }
        joined.writeImmutableBuffer(bytes)
        return joined
    }

    // MARK: - The end

    private func resetSoon() {
        // Nothing that is sent behind what was lost arrives.
        lastArrival = .max / 2
        lastReturn = .max / 2
        world.schedule(after: world.random.span(mean: 5_000_000)) { self.close(reason: "reset") }
    }

    /// Ends the connection: whoever waits for an answer is told so.
    func close(reason: String) {
        guard isOpen else { return }
        isOpen = false
        // Half the time the node reads what it has been sent all the same.
        if world.random.coin() { isNodeGone = true }
        world.say("\(client) and n\(place) part: \(reason)")
        world.lines.removeAll { $0 === self }
        let lost = waiting
        waiting = [:]
        for correlation in lost.keys.sorted() { lost[correlation]?(nil) }
    }

    /// The node has died: its system resets the connection, or says nothing at all.
    func nodeEnded(isNoticed: Bool) {
        isNodeGone = true
        slots = []
        guard isNoticed else { return }
        world.schedule(after: world.random.span(mean: 1_000_000)) { self.close(reason: "the node is gone") }
    }
}

extension FetchPiece where File == SimFile {
    /// The bytes, as far as they are there.
    func content() throws -> ByteBuffer {
        switch self {
        case .memory(let buffer): return buffer
        case .file(let range):
            var bytes = ByteBuffer()
            let size = Int(range.size.rawValue)
            try bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { space in
                try range.file.read(into: UnsafeMutableRawBufferPointer(rebasing: space[..<size]), at: range.position)
            }
            return bytes
        }
    }
}
