// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import NIOCore
import RecordBatches
import Synchronization
import Testing

@testable import GodwitClient

@Suite(.timeLimit(.minutes(1)))
struct GroupConsumerTests {
    private static func place(_ partition: Int32) -> TopicPartition {
        TopicPartition(topic: ScriptedCluster.topic, partition: partition)
    }

    private struct Stage {
        let cluster: ScriptedCluster
        let group: ScriptedGroup
        let client: KafkaClient

        func member(_ change: (inout GroupConsumerConfiguration) -> Void = { _ in }) -> GroupConsumer {
            var configuration = GroupConsumerConfiguration()
            configuration.fetching.maxWait = .milliseconds(5)
            configuration.offsetReset = .earliest
            change(&configuration)
            return GroupConsumer(client, group: "group", topics: [ScriptedCluster.topic], configuration)
        }

        func stop() async {
            await client.close()
            await cluster.stop()
        }
    }

    /// Three records in each partition, one a batch.
    private func stage(partitions: Int32 = 1) async throws -> Stage {
        let cluster = try await ScriptedCluster.start(partitions: partitions)
        let group = ScriptedGroup(cluster)
        let client = cluster.client()
        let sender = BatchSender(client)
        for partition in 0..<partitions {
            for value in ["a", "b", "c"] {
                var builder = BatchBuilder()
                builder.append(key: nil, value: ByteBuffer(string: value), timestamp: Timestamp(milliseconds: 1))
                let promise = client.eventLoop.makePromise(of: BatchReceipt.self)
                sender.send(PreparedBatch(try builder.finish()), to: Self.place(partition)) {
                    promise.completeWith($0.mapError { $0 })
                }
                _ = try await promise.futureResult.get()
            }
        }
        return Stage(cluster: cluster, group: group, client: client)
    }

    /// Reads up to the next event that is neither records nor an assignment, and gives the values and that event.
    private func read(_ member: GroupConsumer) async throws -> ([String], GroupEvent?) {
        var values: [String] = []
        while let event = try await member.next() {
            switch event {
            case .assigned: continue
            case .records(let chunk):
                try chunk.forEachRecord { values.append(String(buffer: $0.value ?? ByteBuffer())) }
            case .end, .revoked, .lost: return (values, event)
            }
        }
        return (values, nil)
    }

    @Test func aMemberReadsOnWhereItsGroupStopped() async throws {
        let stage = try await stage()
        stage.group.state.withLock { $0.offsets[0] = 1 }
        let member = stage.member()
        #expect(try await read(member).0 == ["b", "c"])
        await member.close()
        #expect(stage.group.state.withLock { $0.journal } == ["join", "owns [0]", "commit 0@3 epoch 1", "leave -1"])
        let first = try #require(stage.group.state.withLock { $0.heartbeats.first })
        #expect(first.memberEpoch == 0 && first.topicPartitions == [] && first.rebalanceTimeout == 300_000)
        #expect(first.subscribedTopicNames == [ScriptedCluster.topic] && first.memberID.count == 22)
        await stage.stop()
    }

    @Test func onlyWhatChangedIsToldInLaterHeartbeats() async throws {
        let stage = try await stage()
        let member = stage.member()
        _ = try await read(member)
        try await stage.group.wait { $0.heartbeats.count >= 5 }
        let later = stage.group.state.withLock { $0.heartbeats[3] }
        #expect(later.topicPartitions == nil && later.subscribedTopicNames == nil && later.rebalanceTimeout == -1)
        await member.close()
        await stage.stop()
    }

    @Test func withoutAnOffsetTheConfigurationSaysWhereToBegin() async throws {
        let stage = try await stage()
        let late = stage.member { $0.offsetReset = .latest }
        let (values, event) = try await read(late)
        #expect(values.isEmpty)
        guard case .end(_, offset: 3)? = event else {
            Issue.record("\(String(describing: event))")
            return
        }
        await late.close()
        #expect(stage.group.state.withLock { $0.offsets } == [:])
        let early = stage.member()
        #expect(try await read(early).0 == ["a", "b", "c"])
        await early.close()
        await stage.stop()
    }

    @Test func aPartitionIsFreeOnlyAfterItsReaderCameBackAndItsOffsetIsCommitted() async throws {
        let stage = try await stage(partitions: 2)
        stage.group.state.withLock { $0.assignment = [0, 1] }
        let member = stage.member()
        _ = try await read(member)
        _ = try await read(member)
        stage.group.state.withLock { state in
            state.journal = []
            state.assignment = [1]
            state.epoch = 2
        }
        let (_, event) = try await read(member)
        guard case .revoked([Self.place(0)])? = event else {
            Issue.record("\(String(describing: event))")
            return
        }
        // The reader has not come back: heartbeats go on, and the partition stays owned.
        let before = stage.group.state.withLock { $0.heartbeats.count }
        try await stage.group.wait { $0.heartbeats.count > before + 3 }
        #expect(stage.group.state.withLock { $0.owned } == [0, 1])
        let waiting = Task { try await member.next() }
        try await stage.group.wait { $0.owned == [1] }
        #expect(stage.group.state.withLock { $0.journal } == ["commit 0@3 epoch 2", "owns [1]"])
        await member.close()
        _ = try await waiting.value
        await stage.stop()
    }

    @Test(arguments: [ErrorCode.fencedMemberEpoch, .unknownMemberID])
    func aMemberThatTheGroupForgotLosesItsPartitionsAndJoinsAnew(error: ErrorCode) async throws {
        let stage = try await stage()
        let member = stage.member { $0.commitInterval = nil }
        _ = try await read(member)
        stage.group.state.withLock { $0.heartbeatErrors = [error] }
        guard case .lost([Self.place(0)])? = try await read(member).1 else {
            Issue.record("the partition is lost")
            return
        }
        // Nothing was committed, so it begins again.
        #expect(try await read(member).0 == ["a", "b", "c"])
        #expect(stage.group.state.withLock { $0.journal.count { $0 == "join" } } == 2)
        await member.close()
        await stage.stop()
    }

    @Test func aCoordinatorThatMovesIsFound() async throws {
        let stage = try await stage()
        let member = stage.member()
        _ = try await read(member)
        let told = stage.group.state.withLock { state in
            state.coordinator = 2
            return state.heartbeats.count
        }
        try await stage.group.wait { $0.heartbeats.count > told + 2 }
        // What the last coordinator took in is not known to the new one.
        let first = stage.group.state.withLock { $0.heartbeats[told] }
        #expect(first.subscribedTopicNames == [ScriptedCluster.topic] && first.memberEpoch == 1)
        try await member.commit()
        #expect(stage.group.state.withLock { $0.offsets } == [0: 3])
        await member.close()
        await stage.stop()
    }

    @Test func aCommitWithAnOldEpochIsSentAgainWithTheNew() async throws {
        let stage = try await stage()
        let member = stage.member { $0.commitInterval = nil }
        _ = try await read(member)
        stage.group.state.withLock { state in
            state.commitErrors = [.staleMemberEpoch, .coordinatorLoadInProgress]
            state.epoch = 9
        }
        let told = stage.group.state.withLock { $0.heartbeats.count }
        try await stage.group.wait { $0.heartbeats.count > told + 2 }
        try await member.commit()
        #expect(stage.group.state.withLock { $0.journal.last } == "commit 0@3 epoch 9")
        await member.close()
        await stage.stop()
    }

    @Test func whatTheReaderCommitsItselfStaysWhenItLeaves() async throws {
        let stage = try await stage()
        let member = stage.member()
        while let event = try await member.next() {
            if case .records = event { break }
        }
        try await member.commit([Self.place(0): 1])
        await member.close()
        #expect(stage.group.state.withLock { $0.offsets } == [0: 1])
        await stage.stop()
    }

    @Test func aCommitThatTheCoordinatorRefusesIsAnError() async throws {
        let stage = try await stage()
        let member = stage.member { $0.commitInterval = nil }
        _ = try await read(member)
        stage.group.state.withLock { $0.commitErrors = [.groupAuthorizationFailed] }
        await #expect(throws: ClientError.self) { try await member.commit() }
        await member.close()
        await stage.stop()
    }

    @Test func aGroupThatTakesNobodyInEndsTheMember() async throws {
        let stage = try await stage()
        stage.group.state.withLock { $0.heartbeatErrors = [.groupMaxSizeReached] }
        let member = stage.member()
        await #expect(throws: ClientError.refused(.groupMaxSizeReached, subject: "group 'group'", message: nil)) {
            _ = try await member.next()
        }
        await member.close()
        await stage.stop()
    }

    @Test func aStaticMemberLeavesForAWhile() async throws {
        let stage = try await stage()
        let member = stage.member { $0.instanceID = "one" }
        _ = try await read(member)
        await member.close()
        let last = try #require(stage.group.state.withLock { $0.heartbeats.last })
        #expect(last.memberEpoch == -2 && last.instanceID == "one")
        await stage.stop()
    }
}
