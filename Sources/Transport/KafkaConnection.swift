// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// One client's connection. Confined to its event loop.
///
/// Requests are handed out in the order they arrive; answers leave in that order too, whatever order they are completed
/// in. Everything completed in one turn of the loop leaves in one flush.
public final class KafkaConnection {
    public let eventLoop: any EventLoop
    /// The peer's address without its port, or "unknown".
    public let remoteAddress: String
    /// Unique within its listener.
    public let id: UInt64
    /// What the client calls itself: untrusted, shown in log lines only after it was made printable.
    public var clientID: String?
    /// False as soon as the connection is being closed from either side.
    public private(set) var isOpen = true

    let turn: ConnectionLoop
    private var context: ChannelHandlerContext?
    private var reader: FrameReader
    private var answers = CircularBuffer<PendingAnswer>(initialCapacity: 4)
    private var firstSequence: UInt64 = 0
    /// Small answers, gathered so that they go to the socket as one buffer.
    private var out = ByteBuffer()
    private var outIsHandedOver = false
    private var partialCharge = 0
    private var isReading = false
    private var isWritable = true
    private var readWasSwallowed = false
    private var hadFirstRead = false
    private var needsFlush = false
    var isDirty = false
    var isStarved = false
    private var health = ConnectionHealth()

    private struct PendingAnswer {
        var requestBytes: Int
        var reply: Reply

        enum Reply {
            case waiting
            case silent
            case ready([ReplyPiece])
        }
    }

    /// Answers up to this size are copied together: cheaper than an element each in a gathering write.
    private static let gatheredBytes = 2 << 10
    private static let gatherLimit = 64 << 10

    init(id: UInt64, remoteAddress: String, turn: ConnectionLoop) {
        self.id = id
        self.remoteAddress = remoteAddress
        self.turn = turn
        eventLoop = turn.eventLoop
        reader = FrameReader(minimumLength: 8, limit: turn.limits.maxFrameBytes)
    }

    /// Answers one request; `nil` for one that has no answer (acks=0). Does nothing once the connection is closed.
    ///
    /// - Precondition: `slot` was handed out with a request of this connection and has not been completed before.
    public func complete(_ slot: ReplySlot, with reply: [ReplyPiece]?) {
        eventLoop.preconditionInEventLoop()
        guard isOpen else { return }
        precondition(slot.sequence >= firstSequence, "a request is answered once")
        let place = Int(slot.sequence - firstSequence)
        precondition(place < answers.count, "an answer belongs to a request that was handed out")
        let index = answers.index(answers.startIndex, offsetBy: place)
        guard case .waiting = answers[index].reply else { preconditionFailure("a request is answered once") }
        turn.budget.release(answers[index].requestBytes)
        answers[index].requestBytes = 0
        guard place == 0 else {
            answers[index].reply = reply.map { .ready($0) } ?? .silent
            return
        }
        popAnswer()
        if let reply { write(reply) }
        writeReadyAnswers()
        if !isReading { turn.wake(self) }
    }

    /// Closes the connection and says why in one line of the log. Answers not yet sent are dropped.
    public func close(reason: String) {
        guard isOpen else { return }
        turn.log.info("closed \(remoteAddress) client '\((clientID ?? "").printable)': \(reason)")
        isOpen = false
        context?.close(promise: nil)
    }

    /// Requests handed out and not yet answered.
    public var outstandingRequests: Int { answers.count }
}

// MARK: - Answers

extension KafkaConnection {
    private func popAnswer() {
        answers.removeFirst()
        firstSequence += 1
    }

    private func writeReadyAnswers() {
        while let first = answers.first {
            switch first.reply {
            case .waiting: return
            case .silent: popAnswer()
            case .ready(let pieces):
                popAnswer()
                write(pieces)
            }
        }
    }

    private func write(_ pieces: [ReplyPiece]) {
        needsFlush = true
        for piece in pieces {
            switch piece {
            case .bytes(var buffer):
                if buffer.readableBytes <= Self.gatheredBytes {
                    if out.readableBytes + buffer.readableBytes > Self.gatherLimit { handOverGathered() }
                    if outIsHandedOver {
                        out.clear()
                        outIsHandedOver = false
                    }
                    out.writeBuffer(&buffer)
                } else {
                    handOverGathered()
                    send(.byteBuffer(buffer))
                }
            case .file(let owner, let descriptor, let position, let size):
                guard size > 0 else { continue }
                handOverGathered()
                send(owner: owner, descriptor: descriptor, position: position, size: size)
            }
        }
    }

    private func handOverGathered() {
        guard !outIsHandedOver, out.readableBytes > 0 else { return }
        outIsHandedOver = true
        send(.byteBuffer(out))
    }

    private func send(_ data: IOData, promise: EventLoopPromise<Void>? = nil) {
        guard let context else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        health.queued += data.readableBytes
        context.write(NIOAny(data), promise: promise)
    }

    /// NIO's handle insists on being closed or giving its descriptor back, and the descriptor is not ours: once the
    /// write has ended, however it did, the handle gives it back and the owner is let go.
    private func send(owner: any AnyObject & Sendable, descriptor: CInt, position: Int64, size: Int) {
        let handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: descriptor)
        let region = FileRegion(fileHandle: handle, readerIndex: Int(position), endIndex: Int(position) + size)
        let written = eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in
            _ = try? handle.takeDescriptorOwnership()
            withExtendedLifetime(owner) {}
        }
        send(.fileRegion(region), promise: written)
    }

    /// Sends what this turn completed, then reads on if that was held up.
    func endTurn() {
        isDirty = false
        flush()
        readOn()
    }

    private func flush() {
        guard needsFlush, isOpen else { return }
        needsFlush = false
        health.isActive = true
        handOverGathered()
        context?.flush()
    }
}

// MARK: - Requests

extension KafkaConnection {
    /// The buffer the next read fills: the frame's own when one is under way, the loop's shared one otherwise.
    func receiveBuffer() -> ByteBuffer {
        guard hadFirstRead else {
            // NIO keeps the first buffer for the connection's whole life, so that one is small.
            hadFirstRead = true
            return ByteBufferAllocator().buffer(capacity: 512)
        }
        if reader.isLent { return ByteBufferAllocator().buffer(capacity: 512) }
        if let own = reader.lendBody() { return own }
        return reader.lastWasLarge ? turn.takeSmallReceiveBuffer() : turn.takeReceiveBuffer()
    }

    private func received(_ buffer: ByteBuffer) {
        guard isOpen else { return }
        health.isActive = true
        if reader.isLent {
            reader.receive(buffer)
        } else {
            // A frame that waits for its commit would keep the whole receive buffer; when little came, a copy of that
            // little is cheaper than another receive buffer.
            if buffer.readableBytes <= turn.limits.receiveBufferBytes / 8 {
                reader.receive(ByteBuffer(bytes: buffer.readableBytesView))
            } else {
                reader.receive(buffer)
            }
            turn.giveBackReceiveBuffer(buffer)
        }
        cutFrames(upTo: turn.limits.maxOutstandingRequests)
    }

    private func cutFrames(upTo cap: Int) {
        guard !isReading else { return }
        isReading = true
        defer { isReading = false }
        do throws(FrameFlaw) {
            while isOpen, answers.count < cap, isWritable || cap == .max, let frame = try reader.next() {
                health.framesRead += 1
                let slot = ReplySlot(sequence: firstSequence + UInt64(answers.count))
                turn.budget.charge(frame.readableBytes)
                answers.append(PendingAnswer(requestBytes: frame.readableBytes, reply: .waiting))
                if turn.privileged === self { turn.privileged = nil }
                turn.dispatcher.dispatch(frame, slot: slot, on: self)
            }
        } catch {
            close(reason: error.description)
        }
        chargePartialFrame()
    }

    private func chargePartialFrame() {
        let partial = isOpen ? reader.partialBytes : 0
        turn.budget.charge(partial - partialCharge)
        health.bytesRead += max(0, partial - partialCharge)
        partialCharge = partial
    }

    private var mayRead: Bool {
        guard isOpen, isWritable, answers.count < turn.limits.maxOutstandingRequests else { return false }
        guard turn.budget.hasRoom || turn.privileged === self else {
            turn.starve(self)
            return false
        }
        return true
    }

    /// Goes on with what was received but held back, then with the socket.
    func readOn() {
        guard readWasSwallowed, mayRead else { return }
        cutFrames(upTo: turn.limits.maxOutstandingRequests)
        flush()
        guard mayRead else { return }
        // The flush may have made room for answers to what is still held back, and the socket need not have any more.
        guard !reader.holdsBack else { return turn.wake(self) }
        readWasSwallowed = false
        context?.read()
    }

    var isMidFrame: Bool { reader.isMidFrame }

    /// Closes a connection that is idle, or whose peer neither sends nor reads what it began.
    func sweep(now: NIODeadline) {
        guard isOpen, let context else { return }
        let buffered = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        let verdict = health.check(
            now: now, limits: turn.limits, unanswered: answers.count, unsent: buffered,
            isMidFrame: reader.isMidFrame && !readWasSwallowed)
        if let verdict { close(reason: verdict) }
        if out.capacity > 4 << 10, !needsFlush, health.isQuiet {
            out = ByteBuffer()
            outIsHandedOver = false
        }
    }
}

// MARK: - Channel events

extension KafkaConnection {
    func opened(_ context: ChannelHandlerContext) {
        self.context = context
        turn.connections[id] = self
    }

    func channelRead(_ buffer: ByteBuffer) { received(buffer) }

    func channelReadComplete() {
        if reader.isLent { close(reason: "the socket gave no bytes where it had some") }
        flush()
    }

    /// NIO asks whether to read on.
    func read(_ context: ChannelHandlerContext) {
        let may = mayRead
        if may, !reader.holdsBack {
            context.read()
        } else {
            readWasSwallowed = true
            if may { turn.wake(self) }
        }
    }

    func writabilityChanged(_ isWritable: Bool) {
        self.isWritable = isWritable
        if isWritable { turn.wake(self) }
    }

    func ended() {
        // A producer without acknowledgements may send and hang up: what came whole is still served. NIO has read the
        // socket to its end by now, so this is bounded by the kernel's buffer.
        if isOpen { cutFrames(upTo: .max) }
        isOpen = false
        context = nil
        chargePartialFrame()
        for answer in answers { turn.budget.release(answer.requestBytes) }
        answers.removeAll()
        if turn.connections.removeValue(forKey: id) != nil { turn.dispatcher.closed(self) }
        if turn.privileged === self { turn.privileged = nil }
    }
}
