// SPDX-License-Identifier: Apache-2.0

import LogModel
import MetadataCore
import Settings
import Testing

@Suite struct ConfigPlanningTests {
    private let state: ClusterState = {
        var state = ClusterState.formed(racks: ["a"])
        state.apply(newTopic("events", id: 1, placements([1]), configs: configs([("retention.ms", "7")])))
        return state
    }()

    private func edit(_ name: String, _ value: String?, _ operation: ConfigEdit.Operation = .set) -> ConfigEdit {
        ConfigEdit(name: name, operation: operation, value: value)
    }

    private func planned(_ owner: ConfigOwner, _ edits: ConfigEdit...) -> Result<MetadataCommand, TopicRefusal> {
        state.planEdits(edits, of: owner, defaults: TopicDefaults())
    }

    private func kind(_ plan: Result<MetadataCommand, TopicRefusal>) -> TopicRefusal.Kind? {
        guard case .failure(let refusal) = plan else { return nil }
        return refusal.kind
    }

    @Test func anEditSaysOnlyWhatItChanges() {
        #expect(
            planned(.topic("events"), edit("segment.ms", " 60000 "), edit("retention.ms", nil, .delete))
                == .success(
                    .changeTopicConfigs(
                        topicID(1),
                        [
                            ConfigChange(name: "segment.ms", value: "60000"),
                            ConfigChange(name: "retention.ms", value: nil),
                        ])))
    }

    @Test func twoWhoChangeDifferentConfigsDoNotMeet() throws {
        let first = try planned(.topic("events"), edit("segment.ms", "60000")).get()
        let second = try planned(.topic("events"), edit("retention.ms", "9")).get()
        var state = state
        state.apply(first)
        state.apply(second)
        #expect(
            state.topic(named: name("events"))?.configs == configs([("retention.ms", "9"), ("segment.ms", "60000")]))
    }

    @Test func aReplacementGivesTheOthersTheirDefaults() {
        let plan = state.planReplacement(
            [("segment.ms", "60000")], of: .topic("events"), defaults: TopicDefaults())
        #expect(plan == .success(.alterTopicConfigs(topicID(1), configs([("segment.ms", "60000")]))))
    }

    @Test func whatKafkaRefusesIsRefusedByName() {
        let topic = ConfigOwner.topic("events")
        #expect(kind(planned(.topic("missing"), edit("retention.ms", "1"))) == .unknownTopic)
        #expect(kind(planned(.topic("a/b"), edit("retention.ms", "1"))) == .invalidTopic)
        #expect(kind(planned(.topic(""), edit("retention.ms", "1"))) == .invalidRequest)
        #expect(kind(planned(topic, edit("no.such.config", "1"))) == .invalidConfig)
        #expect(kind(planned(topic, edit("no.such.config", nil, .delete))) == .invalidConfig)
        #expect(kind(planned(topic, edit("retention.ms", "soon"))) == .invalidConfig)
        #expect(kind(planned(topic, edit("retention.ms", "-2"))) == .invalidConfig)
        #expect(kind(planned(topic, edit("retention.ms", "99999999999999999999"))) == .invalidConfig)
        #expect(kind(planned(topic, edit("retention.ms", nil))) == .invalidRequest)
        #expect(kind(planned(topic, edit("retention.ms", "1"), edit("retention.ms", "2"))) == .invalidRequest)
        #expect(kind(planned(topic, edit("retention.ms", "1", .append))) == .invalidConfig)
        #expect(kind(planned(topic, edit("retention.ms", "1", .subtract))) == .invalidConfig)
        // Nothing happens unless all is legal.
        #expect(kind(planned(topic, edit("retention.ms", "1"), edit("segment.ms", "0"))) == .invalidConfig)
        let many = (0..<300).map { edit("config\($0)", "1") }
        #expect(kind(state.planEdits(many, of: topic, defaults: TopicDefaults())) == .invalidRequest)
        let twice = [("retention.ms", "1" as String?), ("retention.ms", "2")].map { (name: $0.0, value: $0.1) }
        #expect(kind(state.planReplacement(twice, of: topic, defaults: TopicDefaults())) == .invalidRequest)
        #expect(
            kind(state.planReplacement([("retention.ms", nil)], of: topic, defaults: TopicDefaults()))
                == .invalidRequest)
    }

    @Test func aListTakesInAndGivesUpValues() {
        let topic = ConfigOwner.topic("events")
        // What is there already changes nothing; an unknown value is judged with the whole list.
        #expect(
            planned(topic, edit("cleanup.policy", "delete", .append))
                == .success(.changeTopicConfigs(topicID(1), [ConfigChange(name: "cleanup.policy", value: "delete")])))
        #expect(kind(planned(topic, edit("cleanup.policy", "nonsense", .append))) == .invalidConfig)
        #expect(
            planned(topic, edit("cleanup.policy", "nonsense", .subtract))
                == .success(.changeTopicConfigs(topicID(1), [ConfigChange(name: "cleanup.policy", value: "delete")])))
    }

    @Test func aGroupsConfigsAreItsOwn() throws {
        let owner = ConfigOwner.group("orders")
        let command = try planned(owner, edit("consumer.session.timeout.ms", "50000")).get()
        var state = state
        #expect(
            state.apply(command)
                == .groupConfigsChanged("orders", try #require(GroupConfigs().applying(change("50000")))))
        #expect(state.groupConfigs(of: "orders").sessionTimeout == 50_000)
        #expect(state.groupConfigs(of: "orders").heartbeatInterval == nil)
        #expect(state.groupConfigs(of: "other") == GroupConfigs())
        #expect(state.apply(command) == .nothing)
        // Replacing by nothing gives all back.
        let back = try state.planReplacement([], of: owner, defaults: TopicDefaults()).get()
        state.apply(back)
        #expect(state.configuredGroups.isEmpty)
    }

    private func change(_ value: String) -> [ConfigChange] {
        [ConfigChange(name: "consumer.session.timeout.ms", value: value)]
    }

    @Test func aGroupsConfigsAreJudged() {
        let owner = ConfigOwner.group("orders")
        #expect(kind(planned(owner, edit("consumer.session.timeout.ms", "44999"))) == .invalidConfig)
        #expect(kind(planned(owner, edit("consumer.session.timeout.ms", "60001"))) == .invalidConfig)
        #expect(kind(planned(owner, edit("consumer.heartbeat.interval.ms", "1"))) == .invalidConfig)
        #expect(kind(planned(owner, edit("consumer.heartbeat.interval.ms", "1", .append))) == .invalidConfig)
        #expect(kind(planned(owner, edit("retention.ms", "1"))) == .invalidConfig)
        #expect(kind(planned(.group(""), edit("consumer.heartbeat.interval.ms", "6000"))) == .invalidRequest)
        let long = String(repeating: "x", count: 2_000)
        #expect(kind(planned(.group(long), edit("consumer.heartbeat.interval.ms", "6000"))) == .invalidRequest)
    }

    // H20.
    @Test func noMoreGroupsAreRememberedThanMayBe() throws {
        var state = state
        for number in 0..<ClusterState.configuredGroupsMax {
            state.apply(.changeGroupConfigs("g\(number)", change("50000")))
        }
        let one = [edit("consumer.session.timeout.ms", "51000")]
        #expect(
            kind(state.planEdits(one, of: .group("new"), defaults: TopicDefaults())) == .policyViolation)
        #expect(kind(state.planEdits(one, of: .group("g7"), defaults: TopicDefaults())) == nil)
    }

    @Test func moreConfigsThanCanBeStoredAreRefusedWhenTheirTurnComes() {
        var state = state
        let many = (0..<300).map { ConfigChange(name: "config\($0 + 100)", value: "1") }
        #expect(state.apply(.changeTopicConfigs(topicID(1), many)) == .refused(.tooManyConfigs))
        #expect(state.apply(.changeGroupConfigs("g", many)) == .refused(.tooManyConfigs))
        #expect(state.apply(.changeTopicConfigs(topicID(9), [])) == .refused(.unknownTopic(topicID(9))))
        #expect(state.topic(named: name("events"))?.configs == configs([("retention.ms", "7")]))
    }

    @Test func anInternalTopicKeepsItsNumberOfPartitions() {
        var state = state
        state.apply(newTopic("__consumer_offsets", id: 2, placements([1])))
        let plan = state.planPartitions(
            [PartitionsRequest(name: "__consumer_offsets", count: 5)], settings: NodeSettings().topics,
            usable: [NodeID(1)], seed: 1)
        guard case .failure(let refusal)? = plan.first else {
            Issue.record("it was planned")
            return
        }
        #expect(refusal.kind == .invalidTopic)
    }
}
