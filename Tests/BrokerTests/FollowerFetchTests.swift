// SPDX-License-Identifier: Apache-2.0

import Broker
import KafkaWire
import LogModel
import LogStorage
import MetadataCore
import NIOCore
import RaftCore
import RecordBatches
import Replication
import Settings
import Testing

/// Reading from the replica that is nearest (KIP-392): node 1 is real and in rack r1, its peers 2 and 3 are words only.
final class ThreeReplicas {
    let node: OneNode
    let partition: PartitionID
    private var held: [NodeID: LogIndex] = [:]
    var answering: Set<NodeID> = [NodeID(2), NodeID(3)]

    init(rackAware: Bool = true, topic: String = "events") throws {
        var settings = NodeSettings()
        settings.fetches.replicaSelector = rackAware ? .rackAware : .leader
        node = try OneNode(settings: settings)
        for (id, rack) in [(2, "r2"), (3, "r2")] {
            node.apply(
                .registerNode(
                    NodeRegistration(
                        id: NodeID(Int32(id)), kafka: NetworkAddress(host: "peer\(id)", port: 9092),
                        peer: NetworkAddress(host: "peer\(id)", port: 19092), rack: rack,
                        directory: DirectoryID(high: 9, low: UInt64(id)))))
        }
        let id = TopicID(high: 200, low: 1)
        partition = PartitionID(topic: id, index: 0)
        let replicas = [NodeID(1), NodeID(2), NodeID(3)]
        node.apply(
            .createTopic(
                NewTopic(
                    id: id, name: try TopicName(topic), partitions: [PartitionPlacement(replicas: replicas)],
                    configs: TopicConfigs(), created: node.environment.wallClock)))
        node.broker.update { $0.replace(alive: replicas) }
        node.shard.host(
            ReplicaAssignment(
                partition: partition, replicas: replicas, directory: "\(node.directory)/three", limits: LogLimits()))
        node.settle()
        for peer in replicas.dropFirst() { node.shard.peerConnected(peer) }
        node.settle()
    }

    var replica: Replica<StillEnvironment> {
        get throws { try #require(node.shard.replica(partition)) }
    }

    /// Passes time, with peers that agree to everything they are asked.
    func run(milliseconds: UInt64) {
        for _ in 0..<milliseconds / 10 {
            node.pass(milliseconds: 10)
            exchange()
        }
    }

    func exchange() {
        for _ in 0..<10 where !node.environment.sent.isEmpty {
            let letters = node.environment.sent
            node.environment.sent = []
            for (message, peer) in letters where answering.contains(peer) {
                guard let reply = reply(to: message, by: peer) else { continue }
                node.shard.receive(reply, of: partition, payload: nil, from: peer)
            }
            node.settle()
        }
    }

    private func reply(to message: Message, by peer: NodeID) -> Message? {
        switch message {
        case .preVote(let letter):
            return .preVoteReply(term: Term(letter.term.rawValue - 1), granted: true, round: letter.round)
        case .vote(let letter): return .voteReply(term: letter.term, granted: true)
        case .append(let append):
            held[peer] = append.end
            return .appendReply(AppendReply(term: append.term, outcome: .matched(append.end)))
        case .heartbeat(let beat):
            let end = held[peer] ?? .zero
            return .heartbeatReply(HeartbeatReply(term: beat.term, sequence: beat.sequence, held: end, matched: end))
        default: return nil
        }
    }

    func lead() throws {
        run(milliseconds: 5_000)
        try #require(try replica.highWatermark != nil)
    }

    /// Takes in what peer 2, leading in term 4, sends: its start, and one batch a value of one record.
    func follow(_ values: [String], committing: UInt64) throws {
        let term = Term(4)
        var bytes = MarkerEntry.encode(
            kind: .leaderStart, term: term, nextOffset: Offset(0), timestamp: node.environment.wallClock)
        for (offset, value) in values.enumerated() {
            var records = try batch([value])
            EntryHead.assign(baseOffset: Offset(Int64(offset)), term: term, in: &records)
            bytes.writeBuffer(&records)
        }
        let end = LogIndex(Int64(values.count) + 1)
        let append = Append(
            term: term, prev: .empty, runs: [TermRun(term: term, end: end)], commit: LogIndex(Int64(committing)))
        node.shard.receive(.append(append), of: partition, payload: bytes, from: NodeID(2))
        node.settle()
    }

    /// This node leads and has acknowledged one batch of two records.
    static func leading(rackAware: Bool = true) throws -> ThreeReplicas {
        let three = try ThreeReplicas(rackAware: rackAware)
        try three.lead()
        let stored = try three.node.begin(produceRequest(try batch(["a", "b"])), version: 9)
        three.node.settle()
        three.exchange()
        try #require(stored.response?.only?.error == ErrorCode.none)
        return three
    }

    func fetch(from offset: Int64, rack: String = "", wait: Int32 = 0, epoch: Int32 = -1) -> FetchRequest {
        var request = fetchRequest(from: offset, epoch: epoch, wait: wait)
        request.rackID = rack
        return request
    }
}

@Suite struct FollowerFetchTests {
    @Test func theLeaderNamesAReplicaInTheReadersRack() throws {
        let three = try ThreeReplicas.leading()
        let answer = try three.node.ask(three.fetch(from: 0, rack: "r2", wait: 500), version: 11).only
        #expect(answer?.preferredReadReplica == 2)
        #expect(answer?.error == ErrorCode.none)
        #expect(answer?.highWatermark == 2)
        #expect(try answer?.values == [])
    }

    @Test(arguments: ["", "r1", "r9"])
    func aReaderWithoutAReplicaInItsRackIsServedByTheLeader(rack: String) throws {
        let three = try ThreeReplicas.leading()
        let answer = try three.node.ask(three.fetch(from: 0, rack: rack), version: 11).only
        #expect(answer?.preferredReadReplica == -1)
        #expect(try answer?.values == ["a", "b"])
    }

    @Test func withoutTheSettingEverybodyIsServedByTheLeader() throws {
        let three = try ThreeReplicas.leading(rackAware: false)
        #expect(try three.node.ask(three.fetch(from: 0, rack: "r2"), version: 11).only?.values == ["a", "b"])
    }

    @Test func aReplicaThatIsBehindOrGoneIsNotNamed() throws {
        let three = try ThreeReplicas.leading()
        three.answering = [NodeID(3)]
        let stored = try three.node.begin(produceRequest(try batch(["c"])), version: 9)
        three.node.settle()
        three.exchange()
        try #require(stored.isAnswered)
        // Node 2 has not said that it has offset 2; node 3 has.
        #expect(try three.node.ask(three.fetch(from: 3, rack: "r2"), version: 11).only?.preferredReadReplica == 3)
        three.node.broker.update { $0.replace(alive: [NodeID(1), NodeID(2)]) }
        let answer = try three.node.ask(three.fetch(from: 2, rack: "r2"), version: 11).only
        #expect(answer?.preferredReadReplica == 2)
        three.node.broker.update { $0.replace(alive: [NodeID(1)]) }
        #expect(try three.node.ask(three.fetch(from: 2, rack: "r2"), version: 11).only?.values == ["c"])
    }

    @Test func anOffsetOutOfRangeIsSaidByTheLeader() throws {
        let three = try ThreeReplicas.leading()
        #expect(try three.node.ask(three.fetch(from: 9, rack: "r2"), version: 11).only?.error == .offsetOutOfRange)
    }

    @Test func aFollowerShowsWhatItKnowsToBeCommitted() throws {
        let three = try ThreeReplicas()
        // Index 3 is after the marker and two records.
        try three.follow(["a", "b", "c"], committing: 3)
        #expect(try !three.replica.isLeader)
        let answer = try three.node.ask(three.fetch(from: 0, rack: "r1"), version: 11).only
        #expect(try answer?.values == ["a", "b"])
        #expect(answer?.highWatermark == 2)
        #expect(answer?.preferredReadReplica == -1)
        #expect(try three.node.ask(three.fetch(from: 2), version: 11).only?.error == ErrorCode.none)
        #expect(try three.node.ask(three.fetch(from: 3), version: 11).only?.error == .offsetNotAvailable)
        #expect(try three.node.ask(three.fetch(from: 4), version: 11).only?.error == .offsetOutOfRange)
    }

    @Test func aReaderThatWaitsAtAFollowerIsWokenByItsCommit() throws {
        let three = try ThreeReplicas()
        try three.follow(["a", "b"], committing: 2)
        let waiting = try three.node.begin(three.fetch(from: 1, wait: 60_000), version: 11)
        three.node.settle()
        #expect(!waiting.isAnswered)
        let beat = Heartbeat(term: Term(4), commit: LogIndex(3), sequence: 1)
        three.node.shard.receive(.heartbeat(beat), of: three.partition, payload: nil, from: NodeID(2))
        three.node.settle()
        #expect(try waiting.response?.only?.values == ["b"])
    }

    @Test func anOldReaderAndAnotherEpochAreSentAway() throws {
        let three = try ThreeReplicas()
        try three.follow(["a"], committing: 2)
        #expect(try three.node.ask(three.fetch(from: 0), version: 10).only?.error == .notLeaderOrFollower)
        #expect(try three.node.ask(three.fetch(from: 0, epoch: 3), version: 11).only?.error == .fencedLeaderEpoch)
        #expect(try three.node.ask(three.fetch(from: 0, epoch: 5), version: 11).only?.error == .unknownLeaderEpoch)
        #expect(try three.node.ask(three.fetch(from: 0, epoch: 4), version: 11).only?.values == ["a"])
    }

    @Test func aFollowerThatKnowsNoLeaderSendsReadersAway() throws {
        let three = try ThreeReplicas()
        try three.follow(["a"], committing: 2)
        three.answering = []
        three.run(milliseconds: 20_000)
        // It has stood for election in vain.
        #expect(try three.node.ask(three.fetch(from: 0), version: 11).only?.error == .notLeaderOrFollower)
    }
}
