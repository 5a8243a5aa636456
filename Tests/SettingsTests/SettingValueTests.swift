// SPDX-License-Identifier: Apache-2.0

import LogModel
import Settings
import Testing

@Suite struct SettingValueTests {
    @Test(arguments: [
        ("1500ms", Duration.milliseconds(1_500)), ("10s", .seconds(10)), ("7d", .seconds(604_800)),
        ("5 m", .seconds(300)), ("12h", .seconds(43_200)), ("0s", .zero), ("3us", .microseconds(3)),
        ("4ns", .nanoseconds(4)),
    ])
    func durationsAreReadWithTheirUnit(text: String, duration: Duration) {
        #expect(Duration(setting: text) == duration)
        #expect(Duration(setting: duration.settingText) == duration)
    }

    @Test(arguments: [
        "", "10", "s", "-1s", "1.5s", "10 sec", "10s ago", "9223372036854775807d", "٣s", "99999999999999999999s",
    ])
    func whatIsNoDurationIsRefused(text: String) {
        #expect(Duration(setting: text) == nil)
    }

    @Test(
        arguments: [
            ("4096", 4_096), ("64KiB", 65_536), ("16MiB", 16_777_216), ("1GB", 1_000_000_000), ("1GiB", 1_073_741_824),
            ("2 kB", 2_000), ("3B", 3), ("0", 0), ("1TiB", 1_099_511_627_776),
        ] as [(String, Int64)])
    func sizesAreReadWithTheirUnit(text: String, bytes: Int64) {
        #expect(ByteCount(setting: text) == ByteCount(bytes))
        #expect(ByteCount(setting: ByteCount(bytes).settingText) == ByteCount(bytes))
    }

    @Test(arguments: ["", "MiB", "-1", "1.5GB", "1 gib", "9223372036854775807KiB", "0x10"])
    func whatIsNoSizeIsRefused(text: String) {
        #expect(ByteCount(setting: text) == nil)
    }

    @Test(
        arguments: [
            ("127.0.0.1:9092", "127.0.0.1", 9_092), ("[::1]:80", "::1", 80),
            ("node-1.example.org:0", "node-1.example.org", 0),
        ] as [(String, String, UInt16)])
    func addressesAreReadAndPrintedAlike(text: String, host: String, port: UInt16) throws {
        let address = try #require(NetworkAddress(setting: text))
        #expect(address == NetworkAddress(host: host, port: port))
        #expect(address.settingText == text)
    }

    @Test(arguments: [
        "", ":9092", "host", "host:", "host:65536", "host:-1", "a b:1", "::1:80", "[x]:1", "a/b:1", "ü:1",
        "host:+1", "host: 1", "[０]:1", "[::1%eth0]:1", "[]:1",
    ])
    func whatIsNoAddressIsRefused(text: String) {
        #expect(NetworkAddress(setting: text) == nil)
    }

    @Test func aHostNameHasAtMost255Octets() {
        #expect(NetworkAddress(setting: String(repeating: "a", count: 255) + ":1") != nil)
        #expect(NetworkAddress(setting: String(repeating: "a", count: 256) + ":1") == nil)
    }

    @Test func votersAreReadAsAList() throws {
        let voters = try #require([Voter](setting: "1@a:1, 2@[::1]:2"))
        #expect(voters.map(\.id) == [NodeID(1), NodeID(2)])
        #expect(voters.settingText == "1@a:1,2@[::1]:2")
        #expect([Voter](setting: "") == [])
    }

    @Test(arguments: ["1@a:1,", "a:1", "-1@a:1", "1@a:0", "x@a:1", "1@@a:1"])
    func whatIsNoListOfVotersIsRefused(text: String) {
        #expect([Voter](setting: text) == nil)
    }

    @Test func truthHasSixNames() {
        #expect(["true", "yes", "on"].allSatisfy { Bool(setting: $0) == true })
        #expect(["false", "no", "off"].allSatisfy { Bool(setting: $0) == false })
        #expect(Bool(setting: "TRUE") == nil && Bool(setting: "1") == nil)
    }
}

@Suite struct SettingTests {
    @Test func everySettingIsDeclaredOnceAndReadsItsOwnDefaultBack() throws {
        let all = SettingDeclaration.all
        #expect(Set(all.map(\.name)).count == all.count)
        var settings = NodeSettings()
        for declaration in all {
            #expect(!declaration.summary.isEmpty && declaration.summary.last == ".", "\(declaration.name)")
            #expect(declaration.text(in: settings) == declaration.initialText, "\(declaration.name)")
            try declaration.assign(declaration.initialText, in: &settings)
        }
        #expect(settings == NodeSettings())
    }

    @Test func everySettingHasItsOwnPlace() throws {
        let values = [
            "node.id": "7", "node.data": "/d", "node.rack": "r", "kafka.listen": "h:1", "kafka.advertise": "h:2",
            "peer.listen": "h:3", "peer.advertise": "h:4", "cluster.voters": "7@h:5", "log.level": "debug",
            "log.format": "json", "auto.create.topics": "false", "producer.id.expiration.ms": "7000",
            "group.consumer.assignors": "range", "group.consumer.migration.policy": "upgrade",
            "producers.per.partition.max": "77", "replica.selector.class": "rack-aware", "cluster.seeds": "h:6,h:7",
            "cluster.metadata.voters": "5",
        ]
        for declaration in SettingDeclaration.all {
            var settings = NodeSettings()
            let text = try #require(
                values[declaration.name]
                    ?? ["7", "77ms", "7s", "700s", "77KiB", "7MiB"].first { text in
                        var probe = NodeSettings()
                        return (try? declaration.assign(text, in: &probe)) != nil
                    }, "\(declaration.name)")
            try declaration.assign(text, in: &settings)
            let changed = SettingDeclaration.all.filter { $0.text(in: settings) != $0.initialText }.map(\.name)
            #expect(changed == [declaration.name])
        }
    }

    @Test func aValueOutOfBoundsIsRefusedWithItsBounds() {
        #expect(throws: SettingError.outOfBounds("raft.election.timeout", text: "1ms", bounds: "50ms to 1m")) {
            try Setting.electionTimeout.parse("1ms")
        }
        #expect(throws: SettingError.unreadable("node.shards", text: "many", form: "a whole number")) {
            try Setting.nodeShards.parse("many")
        }
    }

    @Test func aVoterIsNamedOnce() {
        #expect(throws: SettingError.self) { try Setting.clusterVoters.parse("1@a:1,1@b:1") }
    }

    @Test func aComplaintIsShortAndHasNoControlCharacters() {
        let text = "a\u{1B}[31m\n" + String(repeating: "b", count: 5_000)
        let error = SettingError.unreadable("x", text: text, form: "f")
        #expect(error.description.count < 120)
        #expect(!error.description.contains("\u{1B}") && !error.description.contains("\n"))
    }

    @Test func theDefaultsKeepAllRules() {
        #expect(NodeSettings().breaches() == [])
    }

    @Test func everyBrokenRuleIsNamed() {
        func first(_ change: (inout NodeSettings) -> Void) -> [String] {
            var settings = NodeSettings()
            change(&settings)
            return settings.breaches().compactMap(\.settings.first)
        }
        #expect(first { $0.raft.heartbeatInterval = .milliseconds(201) } == ["raft.heartbeat.interval"])
        #expect(first { $0.raft.heartbeatInterval = .milliseconds(200) } == [])
        #expect(first { $0.raft.reconnectDelay = .seconds(1) } == ["raft.reconnect.delay"])
        #expect(first { $0.raft.appendBytes = .mebibytes(9) } == ["raft.append.bytes"])
        #expect(first { $0.requests.messageBytesMax = .mebibytes(101) } == ["message.bytes.max"])
        #expect(first { $0.requests.bytesInflight = .mebibytes(99) } == ["request.bytes.max"])
        #expect(first { $0.storage.segmentBytes = .mebibytes(1) } == ["message.bytes.max"])
        #expect(
            first {
                $0.connections.max = 10
                $0.connections.maxPerIP = 11
            } == ["connections.max.per.ip"])
        #expect(first { $0.topics.partitionsPerTopicMax = 0 } == ["default.partitions"])
        #expect(first { $0.groups.sessionTimeoutMin = 1_800_001 } == ["group.min.session.timeout.ms"])
        #expect(first { $0.groups.consumer.sessionTimeout = 44_999 } == ["group.consumer.min.session.timeout.ms"])
        #expect(first { $0.groups.consumer.sessionTimeout = 60_001 } == ["group.consumer.session.timeout.ms"])
        #expect(
            first { $0.groups.consumer.heartbeatInterval = 999 } == ["group.consumer.min.heartbeat.interval.ms"])
        #expect(first { $0.groups.consumer.heartbeatInterval = 15_001 } == ["group.consumer.heartbeat.interval.ms"])
        #expect(
            first {
                $0.groups.consumer.heartbeatIntervalMax = 60_000
                $0.groups.consumer.heartbeatInterval = 45_000
            } == ["group.consumer.heartbeat.interval.ms"])
        #expect(first { $0.kafka.listen = NetworkAddress(host: "0.0.0.0", port: 1) } == ["kafka.advertise"])
        #expect(first { $0.peer.listen = NetworkAddress(host: "::", port: 1) } == ["peer.advertise"])
        #expect(first { $0.peer.listen = $0.kafka.listen } == ["peer.listen"])
        let a = NetworkAddress(host: "a", port: 1)
        let twins = [Voter(id: NodeID(2), address: a), Voter(id: NodeID(3), address: a)]
        #expect(first { $0.voters = twins } == ["cluster.voters"])
        #expect(first { $0.cluster.seeds = [a, a] } == ["cluster.seeds"])
        #expect(first { $0.voters = [Voter(id: NodeID(1), address: a)] } == ["peer.listen"])
        #expect(
            first { $0.voters = [Voter(id: NodeID(2), address: NetworkAddress(host: "::", port: 1))] }
                == ["cluster.voters"])
    }

    @Test func aSeedIsAnAddressThatCanBeConnectedTo() throws {
        #expect(try Setting.clusterSeeds.parse("a:1, [::1]:2").map(\.port) == [1, 2])
        for text in ["a:0", "0.0.0.0:1", "a:1,[::]:2"] {
            #expect(throws: SettingError.self) { try Setting.clusterSeeds.parse(text) }
        }
        #expect(throws: SettingError.self) { try Setting.metadataVoters.parse("4") }
    }

    @Test func moreThanSevenNodesCanFormACluster() throws {
        let texts = (1...101).map { "\($0)@h:\($0)" }
        #expect(try Setting.clusterVoters.parse(texts.joined(separator: ",")).count == 101)
        #expect(throws: SettingError.self) {
            try Setting.clusterVoters.parse((texts + ["102@h:102"]).joined(separator: ","))
        }
    }

    @Test func peersAreToldTheMostSpecificAddress() {
        var settings = NodeSettings()
        #expect(settings.peerAddress == settings.peer.listen)
        settings.voters = [Voter(id: NodeID(1), address: NetworkAddress(host: "voter", port: 1))]
        #expect(settings.peerAddress.host == "voter")
        settings.peer.advertise = NetworkAddress(host: "advertised", port: 1)
        #expect(settings.peerAddress.host == "advertised")
    }
}

@Suite struct GroupSettingTests {
    @Test func aMigrationPolicyIsReadWhateverItsCase() {
        #expect(GroupMigrationPolicy(setting: "BIDIRECTIONAL") == .bidirectional)
        #expect(GroupMigrationPolicy(setting: "sideways") == nil)
        #expect(GroupMigrationPolicy.upgrade.allowsUpgrade && !GroupMigrationPolicy.upgrade.allowsDowngrade)
    }

    @Test func anAssignorIsNamedOnce() throws {
        #expect(try Setting.consumerGroupAssignors.parse("range") == [.range])
        #expect(throws: SettingError.self) { try Setting.consumerGroupAssignors.parse("range,range") }
        #expect(throws: SettingError.self) { try Setting.consumerGroupAssignors.parse("") }
        #expect(throws: SettingError.self) { try Setting.consumerGroupAssignors.parse("sticky") }
    }
}
