// SPDX-License-Identifier: Apache-2.0

import Broker
import GodwitNode
import GroupCore
import KafkaWire
import LogModel
import LogStorage
import NIOCore
import RecordBatches
import Replication

/// Groups among whole nodes: what their members ask is encoded, handled by the broker of a node, and decoded.
extension World: GroupStage {
    var electionTimeout: UInt64 { climate.base.electionTimeout }
    var nodeCount: Int { machines.count }
    var partitionCount: Int { climate.partitions }
    var topicID: TopicID { topicIDs[GroupWorld.topicName] ?? .zero }
    var mayKnowTopicsLate: Bool { true }

    /// Kafka's name of the topic that holds groups and their offsets.
    static let offsetsTopicName = "__consumer_offsets"

    private func partition(_ number: Int) -> PartitionID {
        guard number >= partitionCount else { return PartitionID(topic: topicID, index: Int32(number)) }
        return PartitionID(
            topic: topicIDs[Self.offsetsTopicName] ?? .zero, index: Int32(number - partitionCount))
    }

    func count(_ event: GroupEvent) { statistics.count(event) }

    func life(of place: Int) -> Int? { machines[place].isServing ? machines[place].life : nil }
    func isAwake(_ place: Int) -> Bool { machines[place].isPausedUntil <= now }

    private func replica(_ number: Int, at place: Int) -> Replica<SimCellEnvironment>? {
        machines[place].cell?.shard.replica(partition(number))
    }

    func likelyLeader(of number: Int) -> Int {
        guard !random.chance(perMille: 150), let leader = leader(of: partition(number)) else {
            return random.below(machines.count)
        }
        return leader
    }

    func leadingTerm(of number: Int, at place: Int) -> Term? {
        replica(number, at: place).flatMap { $0.isLeader ? $0.term : nil }
    }

    func term(of number: Int, at place: Int) -> Term? { replica(number, at: place)?.term }

    /// Whether coordinators load in time is seen by whether the groups drain.
    func undisturbed(_ number: Int, at place: Int) -> UInt64? { nil }

    func committedOffset(of number: Int) -> Int64 {
        groups[partition(number)]?.consensus.committedOffset.rawValue ?? 0
    }

    /// As Kafka finds it: Java's `String.hashCode` without its sign bit.
    func offsetsPartition(of group: Int, named name: String, among count: Int) -> Int32 {
        var hash: Int32 = 0
        for unit in name.utf16 { hash = hash &* 31 &+ Int32(unit) }
        return (hash & Int32.max) % Int32(count)
    }

    func read(_ number: Int, at place: Int, from next: Int64, limit: ByteCount) throws -> [EntryHead]? {
        guard let replica = replica(number, at: place), let end = replica.highWatermark, next < end.rawValue else {
            return nil
        }
        do {
            var bytes = ByteBuffer()
            for piece in try replica.log.fetch(from: Offset(next), upTo: end, limit: limit) {
                bytes.writeImmutableBuffer(try piece.content())
            }
            return try EntryHead.all(in: bytes, verifyingChecksums: true)
        } catch {
            if case .outOfRange? = error as? LogError { throw error }
            guard machines[place].hasRot else { throw error }
            return nil
        }
    }

    // MARK: - Over the wire

    func hand(_ exchange: Exchange, named group: String, answered: @escaping (GroupOutcome) -> Void) -> Bool {
        guard let broker = machines[exchange.place].cell?.broker else { return false }
        func pass<Request: WireRequest>(_ request: Request, _ outcome: @escaping (Request.Response) -> GroupOutcome) {
            let version = exchange.version
            let correlation = Int32(truncatingIfNeeded: exchange.number)
            guard
                var frame = try? request.encodeFrame(
                    correlationID: correlation, clientID: exchange.client.name, version: version
                ).bytes
            else { preconditionFailure("\(Request.apiKey) v\(version) cannot be said") }
            frame.moveReaderIndex(forwardBy: 4)
            broker.handle(frame, host: "/10.0.0.\(exchange.group + 1)") { reply in
                var bytes: ByteBuffer
                switch reply {
                case .frame(let frame, pieces: _): bytes = frame.bytes
                case .encoded(let frame): bytes = frame
                case .none, .close:
                    return self.broke(Violation(.requestsEnd, "n\(exchange.place) ended the connection of a member"))
                }
                bytes.moveReaderIndex(forwardBy: 4)
                guard
                    let id = try? ResponseHeader.decode(from: &bytes, apiKey: Request.apiKey, version: version),
                    id == correlation, let response = try? Request.Response.decode(bytes, version: version)
                else {
                    return self.broke(Violation(.requestsEnd, "an unreadable answer to \(Request.apiKey) v\(version)"))
                }
                answered(outcome(response))
            }
        }
        switch exchange.request {
        case .joinGroup(let request): pass(request) { .of($0.error, .joinGroup($0)) }
        case .syncGroup(let request): pass(request) { .of($0.error, .syncGroup($0)) }
        case .heartbeat(let request): pass(request) { .of($0.error, .heartbeat($0)) }
        case .leaveGroup(let request): pass(request) { .of($0.error, .leaveGroup($0)) }
        case .offsetCommit(let request):
            pass(request) { .of($0.topics.flatMap(\.partitions).first?.error ?? .none, .offsetCommit($0)) }
        case .offsetDelete(let request): pass(request) { .of($0.error, .offsetDelete($0)) }
        case .consumerGroupHeartbeat(let request): pass(request) { .of($0.error, .consumerGroupHeartbeat($0)) }
        case .offsetFetch(let group, let requireStable):
            var request = OffsetFetchRequest()
            request.groups = [group]
            request.requireStable = requireStable
            pass(request) { response in
                let answer = response.groups.first ?? OffsetFetchResponse.Group()
                return .of(answer.error, .offsetFetch(answer))
            }
        case .deleteGroup(let name):
            var request = DeleteGroupsRequest()
            request.groups = [name]
            pass(request) { response in
                let answer = response.results.first ?? DeleteGroupsResponse.Result()
                return .of(answer.error, .deleteGroup(answer))
            }
        case .describeGroup, .consumerGroupDescribe, .explain:
            preconditionFailure("no member asks for that")
        }
        return true
    }
}

extension GroupOutcome {
    /// What a response says: that this is no coordinator, or what the coordinator replied.
    fileprivate static func of(_ error: ErrorCode, _ reply: GroupReply) -> Self {
        switch error {
        case .notCoordinator, .coordinatorLoadInProgress: .refused(error)
        case .coordinatorNotAvailable: .refused(.notCoordinator)
        default: .reply(reply)
        }
    }
}
