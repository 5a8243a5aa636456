// SPDX-License-Identifier: Apache-2.0

import Histories
import KafkaWire
import LogModel
import NIOCore
import RecordBatches

/// A consumer without a group: it reads every partition from the start, with fetch sessions (KIP-227), and asks now and
/// then where a log begins and ends.
final class ReadingClient: WireClient {
    private struct Spot: Hashable {
        let topic: String
        let partition: Int32

        /// What histories call it.
        var name: String { "\(topic)-\(partition)" }
    }

    /// An incremental session with one node.
    private struct Session {
        var id: Int32 = 0
        var epoch: Int32 = 0
        /// What the node was last told of each partition.
        var told: [Spot: Int64] = [:]
    }

    private var positions: [Spot: Int64] = [:]
    private var sessions: [Int: Session] = [:]
    private var isFetching: Set<Int> = []
    private var isRefreshing = false
    private let usesSessions: Bool

    init(world: World, number: Int) {
        usesSessions = world.random.chance(perMille: 700)
        super.init(world: world, name: "reader\(number)")
    }

    func begin() {
        refresh(climate.topics) { self.poll() }
    }

    func position(_ topic: String, _ partition: Int32) -> Int64 {
        positions[Spot(topic: topic, partition: partition)] ?? 0
    }

    private func poll() {
        var byNode: [Int: [Spot]] = [:]
        var isLost = false
        for topic in climate.topics {
            guard let known = self.topic(topic), known.partitions > 0 else {
                isLost = true
                continue
            }
            for partition in 0..<Int32(known.partitions) {
                guard let place = place(of: partition, topic) else {
                    isLost = true
                    continue
                }
                byNode[place, default: []].append(Spot(topic: topic, partition: partition))
            }
        }
        for place in byNode.keys.sorted() where !isFetching.contains(place) { fetch(byNode[place] ?? [], at: place) }
        if isLost || world.random.chance(perMille: 50) { refreshSoon() }
        if world.random.chance(perMille: climate.chatterPerMille) { lookAtEnds() }
        world.schedule(after: 2_000_000 + world.random.span(mean: 15_000_000)) { self.poll() }
    }

    private func refreshSoon() {
        guard !isRefreshing else { return }
        isRefreshing = true
        refresh(climate.topics) { self.isRefreshing = false }
    }

    // MARK: - Fetching

    private func fetch(_ spots: [Spot], at place: Int) {
        isFetching.insert(place)
        var session = usesSessions ? sessions[place] ?? Session() : Session(id: 0, epoch: -1)
        var request = FetchRequest()
        request.maxWait = Int32(world.random.pick([0, 5, 50]))
        request.minBytes = 1
        request.maxBytes = Int32(world.isCalm ? 1 << 20 : world.random.within(100...20_000))
        request.sessionID = session.id
        request.sessionEpoch = session.epoch
        request.rackID = ""
        let changed = spots.filter { session.epoch <= 0 || session.told[$0] != position($0.topic, $0.partition) }
        for name in climate.topics {
            var topic = FetchRequest.Topic()
            topic.name = name
            topic.id = self.topic(name)?.id ?? .zero
            for spot in changed where spot.topic == name {
                var item = FetchRequest.Partition()
                item.index = spot.partition
                item.fetchOffset = position(name, spot.partition)
                item.maxBytes = Int32(world.isCalm ? 1 << 20 : world.random.within(1...6_000))
                topic.partitions.append(item)
                session.told[spot] = item.fetchOffset
            }
            if !topic.partitions.isEmpty { request.topics.append(topic) }
        }
        let gone = session.told.keys.filter { !spots.contains($0) }
        if session.epoch > 0, !gone.isEmpty {
            for name in climate.topics {
                var topic = FetchRequest.ForgottenTopic()
                topic.name = name
                topic.id = self.topic(name)?.id ?? .zero
                topic.partitions = gone.filter { $0.topic == name }.map(\.partition).sorted()
                if !topic.partitions.isEmpty { request.forgottenTopics.append(topic) }
            }
        }
        for spot in gone { session.told[spot] = nil }
        sessions[place] = session
        let asked = session.told
        let began = world.now
        ask(request, at: place, patience: climate.requestTimeout + UInt64(request.maxWait) * 1_000_000) { [self] in
            isFetching.remove(place)
            fetched($0, asked, from: place, since: began)
        }
    }

    private func fetched(_ response: FetchResponse?, _ asked: [Spot: Int64], from place: Int, since began: UInt64) {
        guard let response else {
            // The session may be there still; a client that is not sure begins a new one.
            sessions[place] = nil
            return refreshSoon()
        }
        guard response.error == .none else {
            sessions[place] = nil
            return refreshSoon()
        }
        if usesSessions, let session = sessions[place] {
            let isSame = session.id == response.sessionID && session.epoch > 0
            sessions[place]?.id = response.sessionID
            sessions[place]?.epoch = response.sessionID == 0 ? 0 : isSame ? session.epoch + 1 : 1
        }
        // That there is nothing more a leader says once it knows that it still leads; beside records it says what it
        // knows. Since version 11 followers answer, too, and may be behind (KIP-392).
        let hasRecords = response.topics.contains { $0.partitions.contains(where: \.hasRecords) }
        let claimsEnds = chosenVersion(.fetch) < 11 && !hasRecords
        for topic in response.topics {
            guard let name = topic.name.isEmpty ? topicNames[topic.id] : topic.name else { continue }
            for partition in topic.partitions {
                let spot = Spot(topic: name, partition: partition.index)
                take(partition, spot, asked, from: place, since: claimsEnds ? began : nil)
            }
        }
    }

    private func take(
        _ answer: FetchResponse.Partition, _ spot: Spot, _ asked: [Spot: Int64], from place: Int, since began: UInt64?
    ) {
        guard let known = self.topic(spot.topic),
            let watch = world.groups[PartitionID(topic: known.id, index: answer.index)]
        else { return }
        guard let asked = asked[spot] else {
            return world.broke(Violation(.requestsEnd, "\(name) was given \(spot), which it did not ask n\(place) for"))
        }
        do throws(Violation) {
            switch answer.error {
            case .none:
                let seen = try read(answer, spot, watch, asked, from: place)
                let end = began == nil || answer.highWatermark < 0 ? nil : answer.highWatermark
                world.histories.read(
                    seen, end: end, of: spot.name, by: name, from: began ?? world.now, to: world.now)
            case .offsetOutOfRange:
                // Retention was faster; a log's end never comes back to below what was read.
                sessions[place]?.told[spot] = -1
                lookAtStart(spot)
            default:
                sessions[place]?.told[spot] = -1
                refreshSoon()
            }
        } catch {
            world.broke(error)
        }
    }

    private func read(
        _ answer: FetchResponse.Partition, _ spot: Spot, _ watch: GroupWatch, _ asked: Int64, from place: Int
    ) throws(Violation) -> [ReadRecord] {
        let committed = watch.consensus.committedOffset
        guard answer.highWatermark <= committed.rawValue else {
            throw Violation(
                .quorumLog,
                "n\(place) says that \(world.name(watch.partition)) is committed up to \(answer.highWatermark), "
                    + "it is up to \(committed)")
        }
        guard case .bytes(let bytes) = answer.records else { return [] }
        // Two nodes may have been asked for the same.
        let before = self.position(spot.topic, spot.partition)
        var seen: [ReadRecord] = []
        let heads: [EntryHead]
        do throws(BatchError) {
            heads = try EntryHead.all(in: bytes, verifyingChecksums: true)
        } catch {
            // Files go out unread (`sendfile`); a client checks what it is given, and asks again.
            guard !world.machines[place].hasRot else { return [] }
            throw Violation(.noLoss, "n\(place) gave \(name) batches that cannot be read: \(error)")
        }
        var position = asked
        var at = bytes.readerIndex
        for head in heads {
            let isFirst = at == bytes.readerIndex
            // A hole, or a batch that a trim has cut, may begin before the place that was asked for.
            let isCut = isFirst && head.baseOffset.rawValue < position
            guard head.baseOffset.rawValue == position || isCut, !head.isMarker else {
                throw Violation(
                    .offsetAccounting,
                    "\(name) stands at \(position) of \(spot.topic)-\(spot.partition) and got "
                        + "\(head.baseOffset) from n\(place)")
            }
            position = max(position, head.nextOffset.rawValue)
            if !head.isHole {
                world.statistics.read += 1
                let batch = BatchName(wire: head, bytes, at: at)
                try watch.records.read(
                    batch, at: head.baseOffset, committedOffset: committed, by: "\(name) from n\(place)")
                seen += try batch.records(of: bytes, at: at, from: before)
            }
            at += head.totalSize
        }
        positions[spot] = max(position, before)
        return seen
    }

    // MARK: - Where logs begin and end

    private func lookAtStart(_ spot: Spot) {
        let began = world.now
        list(spot, ListOffsetsMark.earliest) { [self] offset in
            let act = Act.listStart(log: spot.name, offset: offset)
            world.histories.listed(act, by: name, from: began, to: world.now)
            guard offset > position(spot.topic, spot.partition) else { return }
            positions[spot] = offset
            world.histories.jumped(in: spot.name, by: name, at: world.now)
        }
    }

    private func lookAtEnds() {
        guard let topic = climate.topics.first, let known = self.topic(topic), known.partitions > 0 else { return }
        let spot = Spot(topic: topic, partition: Int32(world.random.below(known.partitions)))
        guard let watch = world.groups[PartitionID(topic: known.id, index: spot.partition)] else { return }
        let began = world.now
        list(spot, ListOffsetsMark.latest) { offset in
            self.world.histories.listed(
                .listEnd(log: spot.name, offset: offset), by: self.name, from: began, to: self.world.now)
            guard offset > watch.consensus.committedOffset.rawValue else { return }
            self.world.broke(
                Violation(
                    .quorumLog, "\(self.name) was told \(offset), committed is \(watch.consensus.committedOffset)"))
        }
    }

    private func list(_ spot: Spot, _ mark: Int64, then: @escaping (Int64) -> Void) {
        guard let place = place(of: spot.partition, spot.topic) else { return refreshSoon() }
        var request = ListOffsetsRequest()
        var topic = ListOffsetsRequest.Topic()
        topic.name = spot.topic
        var item = ListOffsetsRequest.Partition()
        item.index = spot.partition
        item.timestamp = mark
        topic.partitions = [item]
        request.topics = [topic]
        ask(request, at: place) { response in
            guard let answer = response?.topics.first?.partitions.first, answer.error == .none else {
                return self.refreshSoon()
            }
            then(answer.offset)
        }
    }
}

extension FetchResponse.Partition {
    fileprivate var hasRecords: Bool {
        if case .bytes(let bytes) = records { bytes.readableBytes > 0 } else { false }
    }
}
