// SPDX-License-Identifier: Apache-2.0

import Broker
import KafkaWire
import LogModel
import LogStorage
import MetadataCore
import NIOCore
import Replication
import Settings
import Testing

@Suite struct AdminApiTests {
    // MARK: - DescribeConfigs

    private func described(
        _ node: OneNode, _ type: ConfigResourceType, _ name: String, keys: [String]? = nil, version: Int16 = 4
    ) throws -> DescribeConfigsResponse.Result {
        var request = DescribeConfigsRequest()
        var resource = DescribeConfigsRequest.Resource()
        resource.type = type
        resource.name = name
        resource.configurationKeys = keys
        request.resources = [resource]
        request.includesSynonyms = true
        request.includesDocumentation = true
        return try #require(try node.ask(request, version: version).results.first)
    }

    @Test func everyConfigOfATopicSaysWhereItsValueComesFrom() throws {
        let node = try OneNode()
        try node.topic("events", configs: [("retention.ms", "1000")])
        let result = try described(node, .topic, "events")
        #expect(result.configs.map(\.name) == TopicConfig.all.map(\.name))
        for config in result.configs {
            #expect(config.documentation?.isEmpty == false, "\(config.name)")
            #expect(config.type != .unknown, "\(config.name)")
            #expect(config.source == config.synonyms.first?.source, "\(config.name)")
            #expect(config.value == config.synonyms.first?.value, "\(config.name)")
            #expect(config.synonyms.last?.source == .builtInDefault, "\(config.name)")
        }
        let retention = try #require(result.configs.first { $0.name == "retention.ms" })
        #expect(retention.synonyms.map(\.source) == [.dynamicTopic, .builtInDefault])
        #expect(retention.synonyms.map(\.value) == ["1000", "604800000"])
        #expect(retention.type == .long)
    }

    @Test func aDefaultThatTheNodeSetsComesFromTheNode() throws {
        var settings = NodeSettings()
        settings.requests.messageBytesMax = ByteCount(5_000)
        let node = try OneNode(
            settings: settings,
            shown: [.init(name: "message.bytes.max", value: "5000B", isDefault: false, documentation: "Size.")])
        try node.topic("events")
        try node.topic("own", configs: [("max.message.bytes", "7000")])
        let plain = try #require(try described(node, .topic, "events", keys: ["max.message.bytes"]).configs.first)
        #expect(plain.value == "5000")
        #expect(plain.source == .staticBroker)
        #expect(plain.synonyms.map(\.source) == [.staticBroker, .builtInDefault])
        #expect(plain.synonyms.map(\.value) == ["5000", "1048588"])
        let own = try #require(try described(node, .topic, "own", keys: ["max.message.bytes"]).configs.first)
        #expect(own.synonyms.map(\.source) == [.dynamicTopic, .staticBroker, .builtInDefault])
        #expect(own.synonyms.map(\.value) == ["7000", "5000", "1048588"])
    }

    @Test func onlyTheConfigsAskedForAreShown() throws {
        let node = try OneNode()
        try node.topic("events")
        #expect(
            try described(node, .topic, "events", keys: ["segment.ms", "nonsense"]).configs.map(\.name)
                == ["segment.ms"])
        #expect(try described(node, .topic, "events", keys: []).configs.count == TopicConfig.all.count)
        #expect(try described(node, .broker, "1", keys: ["nonsense"]).configs.isEmpty)
    }

    @Test func aNodeIsFoundUnderKafkasNamesToo() throws {
        let node = try OneNode(logDirectory: "/data/topics")
        let names = ["advertised.listeners", "broker.rack", "log.dirs"]
        let configs = try described(node, .broker, "1", keys: names).configs.sorted { $0.name < $1.name }
        #expect(configs.map(\.name) == names)
        #expect(configs.map(\.value) == ["PLAINTEXT://one.example:9092", "r1", "/data/topics"])
        #expect(configs.allSatisfy { $0.isReadOnly && $0.source == .staticBroker && !$0.isSensitive })
        #expect(configs.map(\.type) == [.list, .string, .list])
        #expect(configs.allSatisfy { $0.synonyms.map(\.source) == [.staticBroker] })
    }

    @Test func whatHasNoConfigsIsRefused() throws {
        let node = try OneNode()
        #expect(try described(node, .topic, "missing").error == .unknownTopicOrPartition)
        #expect(try described(node, .topic, "a/b").error == .invalidTopic)
        #expect(try described(node, .broker, "7").error == .invalidRequest)
        #expect(try described(node, .broker, "").error == ErrorCode.none)
        #expect(try described(node, .group, "").error == .invalidRequest)
        #expect(try described(node, .brokerLogger, "1").error == .invalidRequest)
        #expect(try described(node, .clientMetrics, "m").error == .invalidRequest)
        #expect(try described(node, .init(rawValue: 99), "m").error == .invalidRequest)
    }

    @Test func aGroupsConfigsAreShown() throws {
        let node = try OneNode()
        node.apply(
            .changeGroupConfigs("orders", [ConfigChange(name: "consumer.session.timeout.ms", value: "50000")]))
        let set = try described(node, .group, "orders")
        #expect(set.configs.map(\.name) == ["consumer.heartbeat.interval.ms", "consumer.session.timeout.ms"])
        #expect(set.configs.map(\.value) == ["2000", "50000"])
        #expect(set.configs.map(\.source) == [.builtInDefault, .dynamicGroup])
    }

    // MARK: - Taking effect

    @Test func alteredConfigsHoldForARunningReplica() throws {
        let node = try OneNode()
        let id = try node.topic("events")
        let replica = try #require(node.shard.replica(PartitionID(topic: id, index: 0)))
        var rules = replica.assignment
        #expect(!replica.assignment.keepsOtherwise(than: rules))
        rules.limits.segmentBytes = .kibibytes(16)
        rules.policy.retention.bytes = .zero
        #expect(replica.assignment.keepsOtherwise(than: rules))
        replica.adopt(rules)
        #expect(!replica.assignment.keepsOtherwise(than: rules))
        // Segments of 16 KiB can be removed, one of a gibibyte could not.
        let value = String(repeating: "x", count: 5_000)
        for _ in 0..<20 { _ = try node.ask(produceRequest(try batch([value])), version: 9) }
        node.pass(milliseconds: 60_000)
        node.pass(milliseconds: 60_000)
        #expect(replica.logStart > Offset(0))
    }

    @Test func alteredLimitsHoldForTheNextProduce() throws {
        let node = try OneNode()
        let id = try node.topic("events")
        let large = try batch([String(repeating: "x", count: 2_000)])
        #expect(try node.ask(produceRequest(large), version: 9).only?.error == ErrorCode.none)
        node.apply(.changeTopicConfigs(id, [ConfigChange(name: "max.message.bytes", value: "1000")]))
        #expect(try node.ask(produceRequest(large), version: 9).only?.error == .messageTooLarge)
    }

    // MARK: - DescribeLogDirs

    @Test(arguments: DescribeLogDirsRequest.versions)
    func theNodesDirectoryHoldsItsReplicas(version: Int16) throws {
        let node = try OneNode()
        try node.topic("b", partitions: 2)
        try node.topic("a")
        _ = try node.ask(produceRequest(try batch(["x"]), to: "b", partition: 1), version: 9)
        var request = DescribeLogDirsRequest()
        request.topics = nil
        let answer = try node.ask(request, version: version)
        let directory = try #require(answer.results.first)
        #expect(directory.error == ErrorCode.none)
        #expect(directory.logDirectory == node.directory)
        #expect(directory.topics.map(\.name) == ["a", "b"])
        #expect(directory.topics.last?.partitions.map(\.index) == [0, 1])
        let sizes = try #require(directory.topics.last?.partitions.map(\.size))
        #expect(sizes[1] > sizes[0])
        #expect(directory.topics.last?.partitions.map(\.offsetLag) == [0, 0])
        if version >= 4 { #expect(directory.totalBytes > directory.usableBytes && directory.usableBytes > 0) }
    }

    @Test func onlyWhatIsAskedForIsSaidOfADirectory() throws {
        let node = try OneNode()
        try node.topic("a", partitions: 3)
        try node.topic("b")
        var request = DescribeLogDirsRequest()
        var topic = DescribeLogDirsRequest.Topic()
        topic.name = "a"
        topic.partitions = [2, 7]
        var missing = topic
        missing.name = "missing"
        request.topics = [topic, missing]
        let topics = try #require(try node.ask(request, version: 4).results.first?.topics)
        #expect(topics.map(\.name) == ["a"])
        #expect(topics.first?.partitions.map(\.index) == [2])
    }

    @Test func aDirectoryThatCannotBeReadIsSaid() throws {
        let node = try OneNode(logDirectory: "/nonexistent/godwit")
        #expect(try node.ask(DescribeLogDirsRequest(), version: 4).results.map(\.error) == [.kafkaStorageError])
    }

    // MARK: - DescribeTopicPartitions

    private func page(
        _ node: OneNode, _ names: [String] = [], limit: Int32 = 2_000, after cursor: TopicPartitionCursor? = nil
    ) throws -> DescribeTopicPartitionsResponse {
        var request = DescribeTopicPartitionsRequest()
        request.topics = names.map {
            var topic = DescribeTopicPartitionsRequest.Topic()
            topic.name = $0
            return topic
        }
        request.responsePartitionLimit = limit
        request.cursor = cursor
        return try node.ask(request, version: 0)
    }

    private func cursor(_ topic: String, _ partition: Int32) -> TopicPartitionCursor {
        var cursor = TopicPartitionCursor()
        (cursor.topicName, cursor.partition) = (topic, partition)
        return cursor
    }

    @Test func partitionsAreToldPageByPage() throws {
        let node = try OneNode()
        try node.topic("a", partitions: 3)
        try node.topic("b", partitions: 2)
        try node.topic("c")
        for limit in 1...7 as ClosedRange<Int32> {
            var seen: [String] = []
            var at: TopicPartitionCursor?
            var pages = 0
            repeat {
                let answer = try page(node, limit: limit, after: at)
                let parts = answer.topics.flatMap { topic in
                    topic.partitions.map { "\(topic.name ?? "")\($0.index)" }
                }
                #expect(parts.count <= Int(limit))
                seen += parts
                at = answer.nextCursor
                pages += 1
            } while at != nil && pages < 20
            #expect(seen == ["a0", "a1", "a2", "b0", "b1", "c0"], "pages of \(limit)")
        }
    }

    @Test func aTopicIsDescribedWithAllThatIsKnown() throws {
        let node = try OneNode()
        let id = try node.topic("a")
        let topic = try #require(try page(node, ["a"]).topics.first)
        #expect(topic.error == ErrorCode.none)
        #expect(topic.id == id)
        #expect(!topic.isInternal)
        #expect(topic.operations == 3_576)
        let partition = try #require(topic.partitions.first)
        #expect(partition.leaderID == 1)
        #expect(partition.leaderEpoch == 1)
        #expect(partition.replicas == [1])
        #expect(partition.inSyncReplicas == [1])
        #expect(partition.eligibleLeaderReplicas == [])
    }

    @Test func unknownTopicsAndCursorsAreSaid() throws {
        let node = try OneNode()
        try node.topic("a", partitions: 2)
        try node.topic("c")
        let answer = try page(node, ["c", "b", "a", "x/y", "c"])
        #expect(answer.topics.map(\.name) == ["a", "b", "c", "x/y"])
        #expect(answer.topics.map(\.error) == [.none, .unknownTopicOrPartition, .none, .invalidTopic])
        #expect(try page(node, ["a"], after: cursor("a", -1)).topics.map(\.error) == [.invalidRequest])
        // A topic that has gone meanwhile, and a partition that never was.
        #expect(try page(node, after: cursor("b", 5)).topics.map(\.name) == ["c"])
        #expect(try page(node, after: cursor("a", 9)).topics.map(\.partitions.count) == [0, 1])
        for limit in [0, -1, .min] as [Int32] {
            #expect(try page(node, limit: limit).topics.flatMap(\.partitions).count == 1)
        }
    }

    // MARK: - ListConfigResources

    @Test func whatHasConfigsIsListedByItsType() throws {
        let node = try OneNode()
        try node.topic("a")
        node.apply(.changeGroupConfigs("g", [ConfigChange(name: "consumer.session.timeout.ms", value: "50000")]))
        func listed(_ types: [ConfigResourceType], version: Int16 = 1) throws -> [String] {
            var request = ListConfigResourcesRequest()
            request.resourceTypes = types
            let answer = try node.ask(request, version: version)
            #expect(answer.error == ErrorCode.none)
            return answer.resources.map { "\($0.type.rawValue):\($0.name)" }
        }
        #expect(try listed([]) == ["2:a", "4:1", "32:g"])
        #expect(try listed([.group]) == ["32:g"])
        #expect(try listed([.brokerLogger, .clientMetrics]) == [])
        #expect(try listed([], version: 0) == [])
        var unknown = ListConfigResourcesRequest()
        unknown.resourceTypes = [.init(rawValue: 3)]
        #expect(try node.ask(unknown, version: 1).error == .unsupportedVersion)
    }

    // MARK: - Internal topics and operations

    @Test func anInternalTopicIsMarkedAndNotWrittenTo() throws {
        let node = try OneNode()
        try node.topic("__consumer_offsets")
        var request = MetadataRequest()
        request.topics = nil
        #expect(try node.ask(request, version: 12).topics.map(\.isInternal) == [true])
        #expect(try page(node).topics.map(\.isInternal) == [true])
        let refused = try node.ask(produceRequest(try batch(["a"]), to: "__consumer_offsets"), version: 9)
        #expect(refused.only?.error == .invalidTopic)
        // Reading is allowed.
        #expect(try node.ask(fetchRequest("__consumer_offsets", from: 0), version: 12).only?.error == ErrorCode.none)
    }

    @Test func askingForAnInternalTopicDoesNotMakeIt() throws {
        let node = try OneNode()
        var request = MetadataRequest()
        var asked = MetadataRequest.Topic()
        asked.name = "__consumer_offsets"
        request.topics = [asked]
        #expect(try node.ask(request, version: 12).topics.map(\.error) == [.unknownTopicOrPartition])
    }

    @Test func aClientCannotMakeAnInternalTopic() throws {
        let one = try OneController()
        one.form()
        for name in ["__consumer_offsets", "__transaction_state", "__cluster_metadata"] {
            #expect(try one.answer(creation(name), version: 7).topics.map(\.error) == [.invalidTopic])
        }
    }

    @Test func whatAClientMayDoIsSaidOnlyWhenAsked() throws {
        let node = try OneNode()
        try node.topic("a")
        var request = MetadataRequest()
        request.topics = nil
        #expect(try node.ask(request, version: 8).topics.map(\.operations) == [.min])
        request.includesTopicOperations = true
        request.includesClusterOperations = true
        #expect(try node.ask(request, version: 8).topics.map(\.operations) == [3_576])
        #expect(try node.ask(request, version: 8).clusterOperations == 8_096)
        var cluster = DescribeClusterRequest()
        #expect(try node.ask(cluster, version: 0).clusterOperations == .min)
        cluster.includesClusterOperations = true
        #expect(try node.ask(cluster, version: 0).clusterOperations == 8_096)
    }
}
