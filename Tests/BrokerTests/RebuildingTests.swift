// SPDX-License-Identifier: Apache-2.0

import Foundation
import LogModel
import LogStorage
import NIOCore
import RaftCore
import RecordBatches
import Replication
import Testing

/// A replica of three whose log should be there and is not.
@Suite struct RebuildingTests {
    private let partition = PartitionID(topic: TopicID(high: 4, low: 4), index: 0)
    private let term = Term(5)

    private func host(on node: OneNode, mayHaveForgotten: Bool) throws -> Replica<StillEnvironment> {
        node.shard.host(
            ReplicaAssignment(
                partition: partition, replicas: [NodeID(2), NodeID(1), NodeID(3)],
                directory: node.directory + "/partition", limits: LogLimits(), mayHaveForgotten: mayHaveForgotten))
        node.settle()
        return try #require(node.shard.replica(partition))
    }

    private func answersVotes(_ node: OneNode, term: Term) -> Bool {
        node.environment.sent = []
        // Long after any lease.
        node.pass(milliseconds: 10_000)
        node.environment.sent = []
        let vote = Vote(term: term, last: LogPosition(term: term, end: LogIndex(1_000)), isTransfer: true)
        node.shard.receive(.vote(vote), of: partition, payload: nil, from: NodeID(3))
        node.settle()
        return node.environment.sent.contains { letter in
            if case .voteReply = letter.message { letter.peer == NodeID(3) } else { false }
        }
    }

    /// The leader's first entry of its term, committed.
    private func follow(_ node: OneNode, committing: Bool, isComplete: Bool = false) throws {
        let marker = MarkerEntry.encode(
            kind: .leaderStart, term: term, nextOffset: Offset(0), timestamp: node.environment.wallClock)
        let end = LogIndex(1)
        let append = Append(term: term, prev: .empty, runs: [TermRun(term: term, end: end)], commit: .zero)
        node.shard.receive(.append(append), of: partition, payload: marker, from: NodeID(2))
        node.settle()
        guard committing else { return }
        let beat = Heartbeat(
            term: term, commit: end, sequence: node.environment.now.nanoseconds, isComplete: isComplete)
        node.shard.receive(.heartbeat(beat), of: partition, payload: nil, from: NodeID(2))
        node.settle()
    }

    @Test func aReplicaWhoseLogIsLostDoesNotVoteUntilItHasCaughtUp() throws {
        let node = try OneNode()
        let replica = try host(on: node, mayHaveForgotten: true)
        #expect(replica.isRebuilding)
        #expect(!answersVotes(node, term: Term(4)))
        try follow(node, committing: false)
        #expect(replica.isRebuilding, "the leader has not said yet what is committed")
        try follow(node, committing: true)
        #expect(replica.isRebuilding, "the leader has not said yet that nothing is missing")
        try follow(node, committing: true, isComplete: true)
        #expect(!replica.isRebuilding)
        #expect(answersVotes(node, term: Term(9)))
    }

    @Test func itDoesNotStandEither() throws {
        let node = try OneNode()
        _ = try host(on: node, mayHaveForgotten: true)
        node.pass(milliseconds: 10_000)
        node.pass(milliseconds: 10_000)
        #expect(node.environment.sent.isEmpty)
    }

    @Test func aRestartInTheMiddleDoesNotMakeItForget() throws {
        let node = try OneNode()
        _ = try host(on: node, mayHaveForgotten: true)
        node.shard.close()
        // The directory is there by now, and only the file beside it knows.
        #expect(FileManager.default.fileExists(atPath: node.directory + "/partition"))
        let again = try OneNode()
        again.shard.host(
            ReplicaAssignment(
                partition: partition, replicas: [NodeID(2), NodeID(1), NodeID(3)],
                directory: node.directory + "/partition", limits: LogLimits(), mayHaveForgotten: true))
        again.settle()
        #expect(again.shard.replica(partition)?.isRebuilding == true)
    }

    @Test func aReplicaOfANewPartitionVotesAtOnce() throws {
        let node = try OneNode()
        let replica = try host(on: node, mayHaveForgotten: false)
        #expect(!replica.isRebuilding)
        #expect(answersVotes(node, term: Term(4)))
    }
}
