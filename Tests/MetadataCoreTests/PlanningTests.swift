// SPDX-License-Identifier: Apache-2.0

import LogModel
import MetadataCore
import Settings
import Testing

/// What is refused, and with which of Kafka's errors.
@Suite struct PlanningTests {
    private func plan(
        _ requests: [TopicRequest], in state: ClusterState = .formed(), settings: TopicSettings = TopicSettings(),
        usable: [NodeID]? = nil, founders: [NodeID] = []
    ) -> [Result<PlannedTopic, TopicRefusal>] {
        state.planTopics(
            requests, settings: settings, usable: usable ?? state.nodes.map(\.id), founders: founders, seed: 1)
    }

    private func refusal<Value>(_ result: Result<Value, TopicRefusal>?) -> TopicRefusal.Kind? {
        if case .failure(let refusal) = result { refusal.kind } else { nil }
    }

    private func assignments(_ lists: [(Int32, [Int32])]) -> [TopicRequest.Assignment] {
        lists.map { TopicRequest.Assignment(partition: $0.0, replicas: $0.1) }
    }

    @Test(arguments: [
        ("", TopicRefusal.Kind.invalidTopic), (".", .invalidTopic), ("..", .invalidTopic), ("a/b", .invalidTopic),
        ("a\0", .invalidTopic), (String(repeating: "x", count: 250), .invalidTopic), ("e_vents", .invalidTopic),
        ("__cluster_metadata", .invalidTopic), ("__consumer_offsets", .invalidTopic),
        ("__transaction_state", .invalidTopic), ("__share_group_state", .invalidTopic),
        ("e.vents", .topicAlreadyExists),
    ])
    func namesThatCannotBeAreRefused(text: String, kind: TopicRefusal.Kind) {
        var state = ClusterState.formed()
        state.apply(newTopic("e.vents", id: 1))
        #expect(refusal(plan([TopicRequest(name: text)], in: state).first) == kind)
    }

    @Test(
        arguments: [
            (0, 1, TopicRefusal.Kind.invalidPartitions), (-2, 1, .invalidPartitions), (.min, 1, .invalidPartitions),
            (1, 0, .invalidReplicationFactor), (1, -2, .invalidReplicationFactor), (1, .min, .invalidReplicationFactor),
            (1, 4, .invalidReplicationFactor), (1, .max, .invalidReplicationFactor), (.max, 1, .policyViolation),
            (10_001, 1, .policyViolation),
        ] as [(Int32, Int16, TopicRefusal.Kind)])
    func countsThatCannotBeAreRefused(partitions: Int32, factor: Int16, kind: TopicRefusal.Kind) {
        let request = TopicRequest(name: "t", partitions: partitions, replicationFactor: factor)
        #expect(refusal(plan([request]).first) == kind)
    }

    @Test func moreReplicasThanAreOfUseAreRefused() throws {
        let state = ClusterState.formed(nodes: 16)
        let request = TopicRequest(name: "t", partitions: 1, replicationFactor: 16)
        #expect(refusal(plan([request], in: state).first) == .invalidReplicationFactor)
        #expect(try plan([TopicRequest(name: "t", replicationFactor: 15)], in: state)[0].get().replicationFactor == 15)
    }

    @Test func aMajorityOfTheReplicasMustBeAlive() throws {
        let request = TopicRequest(name: "t", partitions: 1, replicationFactor: 3)
        #expect(refusal(plan([request], usable: [NodeID(1)]).first) == .invalidReplicationFactor)
        #expect(refusal(plan([request], usable: []).first) == .invalidReplicationFactor)
        #expect(refusal(plan([request], usable: [NodeID(1), NodeID(9)]).first) == .invalidReplicationFactor)
        #expect(try plan([request], usable: [NodeID(1), NodeID(3)])[0].get().replicationFactor == 3)
    }

    @Test func defaultsComeFromTheSettings() throws {
        var settings = TopicSettings()
        let plain = try plan([TopicRequest(name: "t")])[0].get()
        #expect(plain.partitions.count == 1 && plain.replicationFactor == 3)
        settings.defaultPartitions = 6
        settings.defaultReplicationFactor = 2
        let set = try plan([TopicRequest(name: "t")], settings: settings)[0].get()
        #expect(set.partitions.count == 6 && set.replicationFactor == 2)
        let single = ClusterState.formed(nodes: 1)
        #expect(try plan([TopicRequest(name: "t")], in: single)[0].get().replicationFactor == 1)
        #expect(try plan([TopicRequest(name: "t")], in: .formed(nodes: 5))[0].get().replicationFactor == 3)
    }

    @Test func theDefaultFactorWaitsForTheNodesThatFormTheCluster() throws {
        let two = ClusterState.formed(nodes: 2), three = [NodeID(1), NodeID(2), NodeID(3)]
        let early = plan([TopicRequest(name: "t")], in: two, founders: three)[0]
        #expect(refusal(early) == .invalidReplicationFactor)
        #expect("\(early)".contains("[n3] of cluster.voters have not come yet"))
        #expect(try plan([TopicRequest(name: "t")], in: two, founders: [NodeID(1)])[0].get().replicationFactor == 2)
        let chosen = TopicRequest(name: "t", replicationFactor: 1)
        #expect(try plan([chosen], in: two, founders: three)[0].get().replicationFactor == 1)
        #expect(refusal(plan([TopicRequest(name: "t")], in: ClusterState()).first) == .invalidReplicationFactor)
    }

    @Test func theDefaultFactorDoesNotWaitForAFounderThatWasRemoved() throws {
        var state = ClusterState.formed(nodes: 3)
        state.apply(.setNodeState(NodeID(3), .draining))
        state.apply(.removeNode(NodeID(3)))
        let founders = [NodeID(1), NodeID(2), NodeID(3)]
        #expect(try plan([TopicRequest(name: "t")], in: state, founders: founders)[0].get().replicationFactor == 2)
    }

    @Test(
        arguments: [
            ("no.such.config", "1"), ("retention.ms", nil), ("retention.ms", "soon"), ("cleanup.policy", "forget"),
        ] as [(String, String?)])
    func badConfigsAreRefused(name: String, value: String?) {
        let request = TopicRequest(name: "t", configs: [TopicRequest.Config(name: name, value: value)])
        #expect(refusal(plan([request]).first) == .invalidConfig)
    }

    @Test func goodConfigsAreKept() throws {
        let given = [
            TopicRequest.Config(name: "segment.ms", value: "5"),
            TopicRequest.Config(name: "retention.ms", value: " 7 "),
        ]
        let planned = try plan([TopicRequest(name: "t", configs: given)])[0].get()
        #expect(planned.configs == configs([("retention.ms", "7"), ("segment.ms", "5")]))
    }

    @Test func assignmentsAreTakenAsTheyAre() throws {
        let request = TopicRequest(name: "t", assignments: assignments([(1, [3, 1]), (0, [2, 3])]))
        #expect(try plan([request])[0].get().partitions == placements([2, 3], [3, 1]))
    }

    @Test(
        arguments: [
            ([(0, [])], TopicRefusal.Kind.invalidReplicaAssignment), ([(0, [1, 1])], .invalidReplicaAssignment),
            ([(0, [1]), (1, [1, 2])], .invalidReplicaAssignment), ([(0, [4])], .invalidReplicaAssignment),
            ([(0, [-1])], .invalidReplicaAssignment), ([(0, [.max])], .invalidReplicaAssignment),
            ([(1, [1])], .invalidReplicaAssignment), ([(0, [1]), (0, [2])], .invalidReplicaAssignment),
            ([(0, [1]), (2, [2])], .invalidReplicaAssignment), ([(-1, [1])], .invalidReplicaAssignment),
            ([(.min, [1]), (.max, [1])], .invalidReplicaAssignment),
            ([(0, Array(0..<16))], .invalidReplicaAssignment),
        ] as [([(Int32, [Int32])], TopicRefusal.Kind)])
    func assignmentsThatCannotBeAreRefused(lists: [(Int32, [Int32])], kind: TopicRefusal.Kind) {
        #expect(refusal(plan([TopicRequest(name: "t", assignments: assignments(lists))]).first) == kind)
    }

    @Test func assignmentsGoWithoutCounts() {
        let lists = assignments([(0, [1])])
        let counted = TopicRequest(name: "t", partitions: 1, assignments: lists)
        let factored = TopicRequest(name: "t", replicationFactor: 1, assignments: lists)
        #expect(plan([counted, factored]).map { refusal($0) } == [.invalidRequest, .invalidRequest])
    }

    @Test func eachTopicIsAnsweredByItself() throws {
        let requests = ["good", "bad/", "twice", "also-good", "twice", "a.b", "a_b"].map { TopicRequest(name: $0) }
        let kinds = plan(requests).map { refusal($0) }
        #expect(kinds == [nil, .invalidTopic, .invalidRequest, nil, .invalidRequest, nil, .invalidTopic])
        #expect(plan([]).isEmpty)
    }

    @Test func boundsAreThoseOfTheSettings() {
        var settings = TopicSettings()
        settings.topicsMax = 2
        var state = ClusterState.formed()
        state.apply(newTopic("old", id: 1, placements([1], [2])))
        let two = [TopicRequest(name: "a"), TopicRequest(name: "b")]
        #expect(plan(two, in: state, settings: settings).map { refusal($0) } == [nil, .policyViolation])

        settings = TopicSettings()
        settings.partitionsMax = 6
        let three = ["a", "b"].map { TopicRequest(name: $0, partitions: 3) }
        #expect(plan(three, in: state, settings: settings).map { refusal($0) } == [nil, .policyViolation])

        settings = TopicSettings()
        settings.partitionsPerRequestMax = 5
        #expect(plan(three, in: state, settings: settings).map { refusal($0) } == [nil, .policyViolation])

        settings = TopicSettings()
        settings.partitionsPerTopicMax = 2
        #expect(plan(three, in: state, settings: settings).map { refusal($0) } == [.policyViolation, .policyViolation])
        let assigned = TopicRequest(name: "c", assignments: assignments([(0, [1]), (1, [1]), (2, [1])]))
        #expect(refusal(plan([assigned], in: state, settings: settings).first) == .policyViolation)
    }

    @Test func partitionsThatCannotBeAreRefused() throws {
        var state = ClusterState.formed()
        state.apply(newTopic("t", id: 1, placements([1, 2], [2, 3])))
        func plan(_ name: String, _ count: Int32, _ lists: [[Int32]]? = nil) -> Result<AddedPartitions, TopicRefusal> {
            state.planPartitions(
                [PartitionsRequest(name: name, count: count, assignments: lists)], settings: TopicSettings(),
                usable: state.nodes.map(\.id), seed: 1)[0]
        }
        for (result, kind) in [
            (plan("u", 3), TopicRefusal.Kind.unknownTopic), (plan("..", 3), .unknownTopic),
            (plan("t", 2), .invalidPartitions), (plan("t", 1), .invalidPartitions),
            (plan("t", .min), .invalidPartitions),
            (plan("t", .max), .policyViolation), (plan("t", 3, []), .invalidReplicaAssignment),
            (plan("t", 3, [[1, 2], [2, 3]]), .invalidReplicaAssignment),
            (plan("t", 3, [[1]]), .invalidReplicaAssignment), (plan("t", 3, [[1, 1]]), .invalidReplicaAssignment),
            (plan("t", 3, [[1, 7]]), .invalidReplicaAssignment), (plan("t", 3, [[1, -7]]), .invalidReplicaAssignment),
        ] {
            #expect(refusal(result) == kind)
        }
        let assigned = try plan("t", 4, [[3, 1], [1, 2]]).get()
        #expect(assigned == AddedPartitions(topic: topicID(1), after: 2, partitions: placements([3, 1], [1, 2])))
        let chosen = try plan("t", 5).get()
        #expect(chosen.partitions.count == 3 && chosen.partitions.allSatisfy { $0.replicas.count == 2 })
        let twice = state.planPartitions(
            [PartitionsRequest(name: "t", count: 3), PartitionsRequest(name: "t", count: 4)],
            settings: TopicSettings(), usable: state.nodes.map(\.id), seed: 1)
        #expect(twice.map { refusal($0) } == [.invalidRequest, .invalidRequest])
    }

    @Test func topicsAreDeletedByNameOrByID() throws {
        var state = ClusterState.formed()
        state.apply(newTopic("t", id: 1))
        #expect(try state.topicToDelete(name: "t", id: .zero).get().id == topicID(1))
        #expect(try state.topicToDelete(name: nil, id: topicID(1)).get().name == name("t"))
        #expect(refusal(state.topicToDelete(name: "u", id: .zero)) == .unknownTopic)
        #expect(refusal(state.topicToDelete(name: "a/b", id: .zero)) == .unknownTopic)
        #expect(refusal(state.topicToDelete(name: nil, id: topicID(2))) == .unknownTopic)
        #expect(refusal(state.topicToDelete(name: nil, id: .zero)) == .invalidRequest)
        #expect(refusal(state.topicToDelete(name: "t", id: topicID(1))) == .invalidRequest)
    }
}
