// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import Synchronization

@testable import GodwitClient

/// A group's coordinator that says what a test tells it to, and keeps what it was told in order.
final class ScriptedGroup: Sendable {
    struct State {
        /// Which broker coordinates.
        var coordinator: Int32 = 1
        /// The partitions of the one topic that the member may own.
        var assignment: [Int32] = [0]
        var epoch: Int32 = 1
        /// Errors for the next heartbeats, commits and fetches, first come first.
        var heartbeatErrors: [ErrorCode] = []
        var commitErrors: [ErrorCode] = []
        var fetchErrors: [ErrorCode] = []
        var offsets: [Int32: Int64] = [:]
        var owned: [Int32] = []
        var journal: [String] = []
        var heartbeats: [ConsumerGroupHeartbeatRequest] = []
    }

    let state = Mutex(State())
    private let cluster: ScriptedCluster

    init(_ cluster: ScriptedCluster) {
        self.cluster = cluster
        cluster.answer(FindCoordinatorRequest.self) { [self] _, request in find(request) }
        cluster.answer(ConsumerGroupHeartbeatRequest.self) { [self] broker, request in
            state.withLock { Self.heartbeat(&$0, broker, request, cluster) }
        }
        cluster.answer(OffsetFetchRequest.self) { [self] broker, request in
            state.withLock { Self.fetch(&$0, broker, request) }
        }
        cluster.answer(OffsetCommitRequest.self) { [self] broker, request in
            state.withLock { Self.commit(&$0, broker, request) }
        }
    }

    /// Waits until the coordinator's state is as wanted; a test's time limit ends a wait in vain.
    func wait(_ isReached: (borrowing State) -> Bool) async throws {
        while !state.withLock({ isReached($0) }) { try await Task.sleep(for: .milliseconds(1)) }
    }

    private func find(_ request: FindCoordinatorRequest) -> FindCoordinatorResponse {
        let node = state.withLock { $0.coordinator }
        let port = cluster.state.withLock { $0.ports[node] ?? 0 }
        var answer = FindCoordinatorResponse()
        answer.coordinators = request.coordinatorKeys.map { key in
            var coordinator = FindCoordinatorResponse.Coordinator()
            (coordinator.key, coordinator.nodeID) = (key, node)
            (coordinator.host, coordinator.port) = ("127.0.0.1", Int32(port))
            return coordinator
        }
        return answer
    }

    private static func heartbeat(
        _ state: inout State, _ broker: Int32, _ request: ConsumerGroupHeartbeatRequest, _ cluster: ScriptedCluster
    ) -> ConsumerGroupHeartbeatResponse {
        var answer = ConsumerGroupHeartbeatResponse()
        guard broker == state.coordinator else {
            answer.error = .notCoordinator
            return answer
        }
        state.heartbeats.append(request)
        if !state.heartbeatErrors.isEmpty {
            answer.error = state.heartbeatErrors.removeFirst()
            return answer
        }
        if request.memberEpoch < 0 { state.journal.append("leave \(request.memberEpoch)") }
        if request.memberEpoch == 0 { state.journal.append("join") }
        if let owned = request.topicPartitions {
            state.owned = owned.flatMap(\.partitions)
            if request.memberEpoch > 0 { state.journal.append("owns \(state.owned)") }
        }
        (answer.memberID, answer.memberEpoch, answer.heartbeatInterval) = (request.memberID, state.epoch, 5)
        var assigned = ConsumerGroupPartitions()
        assigned.topicID = cluster.state.withLock { $0.topicID }
        assigned.partitions = state.assignment
        var assignment = ConsumerGroupHeartbeatResponse.Assignment()
        assignment.topicPartitions = state.assignment.isEmpty ? [] : [assigned]
        answer.assignment = assignment
        return answer
    }

    private static func fetch(_ state: inout State, _ broker: Int32, _ request: OffsetFetchRequest)
        -> OffsetFetchResponse
    {
        var answer = OffsetFetchResponse()
        answer.groups = request.groups.map { asked in
            var group = OffsetFetchResponse.Group()
            group.groupID = asked.groupID
            if broker != state.coordinator {
                group.error = .notCoordinator
            } else if !state.fetchErrors.isEmpty {
                group.error = state.fetchErrors.removeFirst()
            }
            guard group.error == .none else { return group }
            var topic = OffsetFetchResponse.Topic()
            topic.name = ScriptedCluster.topic
            let partitions = asked.topics.map { $0.flatMap(\.partitions) } ?? state.offsets.keys.sorted()
            topic.partitions = partitions.map { index in
                var partition = OffsetFetchResponse.Partition()
                (partition.index, partition.committedOffset) = (index, state.offsets[index] ?? -1)
                return partition
            }
            group.topics = [topic]
            return group
        }
        return answer
    }

    private static func commit(
        _ state: inout State, _ broker: Int32, _ request: OffsetCommitRequest
    ) -> OffsetCommitResponse {
        var error = broker == state.coordinator ? ErrorCode.none : .notCoordinator
        if error == .none, !state.commitErrors.isEmpty { error = state.commitErrors.removeFirst() }
        var answer = OffsetCommitResponse()
        answer.topics = request.topics.map { topic in
            var told = OffsetCommitResponse.Topic()
            told.name = topic.name
            told.partitions = topic.partitions.map { partition in
                if error == .none {
                    state.offsets[partition.index] = partition.committedOffset
                    let epoch = request.generationIDOrMemberEpoch
                    state.journal.append("commit \(partition.index)@\(partition.committedOffset) epoch \(epoch)")
                }
                var result = OffsetCommitResponse.Partition()
                (result.index, result.error) = (partition.index, error)
                return result
            }
            return told
        }
        return answer
    }
}
