// SPDX-License-Identifier: Apache-2.0

import Configuration
import LogModel
import Settings
import Testing

@Suite struct NodeConfigurationTests {
    private static let minimal = "node.id: 1\ncluster.voters: 1@127.0.0.1:19092\n"

    private func read(
        _ yaml: String, environment: [String: String] = [:], flags: [String] = [],
        mode: NodeConfiguration.Mode = .dev
    ) throws(ConfigurationError) -> NodeSettings {
        try NodeConfiguration.read(yaml: yaml, named: "n.yaml", environment: environment, flags: flags, mode: mode)
    }

    /// What is wrong, one line a complaint.
    private func complaints(
        _ yaml: String = "", environment: [String: String] = [:], flags: [String] = [],
        mode: NodeConfiguration.Mode = .dev
    ) -> [String] {
        do {
            _ = try read(yaml, environment: environment, flags: flags, mode: mode)
            return []
        } catch {
            return error.complaints.map(\.description)
        }
    }

    // MARK: Sources

    @Test func nothingAtAllIsEnoughForOneNode() throws {
        var expected = NodeSettings()
        expected.voters = [Voter(id: NodeID(1), address: NetworkAddress(host: "127.0.0.1", port: 19092))]
        for text in ["", "\n", "# nothing\n", "---\n", "{}\n"] { #expect(try read(text) == expected, "\(text)") }
    }

    @Test func nestedAndDottedNamesSayTheSame() throws {
        let nested = try read("raft:\n  election:\n    timeout: 2s\n  append.bytes: 64KiB\n")
        #expect(nested.raft.electionTimeout == .seconds(2) && nested.raft.appendBytes == .kibibytes(64))
        #expect(try read("raft.election.timeout: 2s\nraft.append.bytes: 64KiB\n") == nested)
        #expect(try read("{raft: {election: {timeout: 2s}, append.bytes: 64KiB}}") == nested)
    }

    @Test func aListMayBeASequence() throws {
        let sequence = try read(Self.minimal.prefix(11) + "cluster:\n  voters:\n    - 1@a:19092\n    - 2@b:2\n")
        #expect(sequence.voters.map(\.description) == ["1@a:19092", "2@b:2"])
        #expect(try read("node.id: 1\ncluster.voters: 1@a:19092, 2@b:2\n") == sequence)
        #expect(complaints("node.data: [a, b]\n") == ["n.yaml:1: node.data takes one value, not a list"])
    }

    @Test func variablesWinOverTheFileAndFlagsOverVariables() throws {
        let yaml = "node.id: 1\nnode.rack: file\nnode.data: file\n"
        let environment = ["GODWIT_NODE_RACK": "variable", "GODWIT_NODE_DATA": "variable", "PATH": "/bin"]
        let settings = try read(yaml, environment: environment, flags: ["node.data=flag"])
        #expect(settings.node.id == NodeID(1) && settings.node.rack == "variable" && settings.node.data == "flag")
    }

    @Test func everySettingHasAVariable() throws {
        for declaration in SettingDeclaration.all {
            let variable = NodeConfiguration.variable(of: declaration.name)
            #expect(variable.allSatisfy { $0.isASCII && ($0.isUppercase || $0 == "_") }, "\(variable)")
            guard !declaration.initialText.isEmpty else { continue }
            #expect(complaints(environment: [variable: declaration.initialText]) == [])
            #expect(complaints(flags: ["\(declaration.name)=\(declaration.initialText)"]) == [])
        }
        let variables = SettingDeclaration.all.map { NodeConfiguration.variable(of: $0.name) }
        #expect(Set(variables).count == variables.count)
        #expect(try read("", environment: ["GODWIT_RAFT_ELECTION_TIMEOUT": "3s"]).raft.electionTimeout == .seconds(3))
    }

    @Test func otherVariablesOfOursAreNoSettings() {
        let others = Dictionary(uniqueKeysWithValues: NodeConfiguration.otherVariables.map { ($0, "x") })
        #expect(complaints(environment: others) == [])
        #expect(complaints(environment: ["GODWIT_UP_SECONDS": "9", "GODWIT_TEST_KEEP": "1"]) == [])
        #expect(complaints(environment: ["GODWIT_TEST": "1"]).count == 1)
    }

    @Test func aFlagsValueMayHoldAnEqualsSign() throws {
        #expect(try read("", flags: ["node.rack=a=b"]).node.rack == "a=b")
        #expect(try read("node.rack: a", flags: ["node.rack="]).node.rack == nil)
    }

    @Test func quotedTextsAreTexts() throws {
        #expect(try read("node.rack: \"1\"\n").node.rack == "1")
        #expect(try read("node.rack: ''\n").node.rack == nil)
        #expect(try read("node.rack: 'null'\n").node.rack == "null")
        #expect(try read("node.id: 0x7\n".replacing("0x7", with: "7")).node.id == NodeID(7))
    }

    // MARK: Complaints

    @Test func everythingThatIsWrongIsSaidAtOnce() {
        let yaml = """
            node:
              id: minus
              rakc: a
            raft:
              election.timeout: 10
              heartbeat:
                interval: 1h
            retention.ms: 5
            """
        let found = complaints(
            yaml, environment: ["GODWIT_KAFKA_LISTEN": "nowhere", "GODWIT_NODE_IDD": "1"],
            flags: ["node.shards=many", "peer.listn=a:1", "loose"], mode: .node)
        #expect(
            found == [
                "n.yaml:2: node.id: 'minus' is not a node id, a whole number from 0",
                "n.yaml:3: unknown setting node.rakc; did you mean node.rack?",
                "n.yaml:5: raft.election.timeout: '10' is not a duration such as 500ms, 10s, 5m, 12h or 7d",
                "n.yaml:7: raft.heartbeat.interval: '1h' is not within 5ms to 12s",
                "n.yaml:8: retention.ms is a topic's config, not a node's setting: give it when the topic is created",
                "GODWIT_KAFKA_LISTEN: kafka.listen: 'nowhere' is not an address host:port",
                "GODWIT_NODE_IDD: no setting has this variable; did you mean GODWIT_NODE_ID?",
                "flag node.shards: node.shards: 'many' is not a whole number",
                "flag peer.listn: unknown setting peer.listn; did you mean peer.listen?",
                "flag loose: write it as name=value",
                "cluster.voters is missing: set it in the file, as GODWIT_CLUSTER_VOTERS or as a flag "
                    + "(1 to 101 voters id@host:port, each id once); a node that joins a running cluster says "
                    + "cluster.seeds instead (1 to 101 addresses host:port)",
            ])
    }

    @Test func aMemberOfAClusterMustSayWhoItIs() {
        let missing = complaints(mode: .node)
        #expect(missing.count == 2 && missing[0].hasPrefix("node.id is missing") && missing[1].contains("GODWIT_"))
        #expect(complaints(Self.minimal, mode: .node) == [])
        let none = complaints("node.id: 1\ncluster.voters: ''\n", mode: .node)
        #expect(none == ["n.yaml:2: cluster.voters must name at least one node"])
        #expect(complaints("node.id: 1\ncluster.voters: []\n", mode: .node) == none)
    }

    @Test func aNodeFormsAClusterOrJoinsOne() throws {
        let joining = try read("node.id: 4\ncluster:\n  seeds:\n    - a:19092\n    - b:19092\n", mode: .dev)
        #expect(joining.cluster.seeds.map(\.description) == ["a:19092", "b:19092"] && joining.voters.isEmpty)
        #expect(!joining.isVoter)
        #expect(try read("node.id: 4\ncluster.seeds: a:19092, b:19092\n") == joining)
        let both = complaints("node.id: 1\ncluster.voters: 1@127.0.0.1:19092\ncluster.seeds: a:1\n", mode: .node)
        #expect(both.count == 1 && both[0].hasPrefix("n.yaml:3: cluster.seeds is for a node that joins"))
        #expect(
            complaints("node.id: 4\ncluster.seeds: ''\n", mode: .node)
                == ["n.yaml:2: cluster.seeds must name at least one address"])
    }

    @Test func aWrongValueIsRefusedThoughItIsOverridden() {
        #expect(complaints("node.id: x\n", flags: ["node.id=1"]).count == 1)
    }

    @Test func aSettingIsGivenOnceASource() {
        #expect(complaints("node.id: 1\nnode:\n  id: 2\n") == ["n.yaml:3: node.id was given on line 1 already"])
        let twice = complaints("node.id: 1\nnode.id: 2\n")
        #expect(twice.count == 1 && twice[0].hasPrefix("n.yaml:") && twice[0].contains("node.id"), "\(twice)")
        #expect(complaints(flags: ["node.id=1", "node.id=1"]) == ["flag node.id: given more than once"])
    }

    @Test func aBrokenRuleIsPlacedWhereItsSettingIs() {
        let found = complaints("node.rack: a\nraft.heartbeat.interval: 900ms\n")
        #expect(found.count == 1 && found[0].hasPrefix("n.yaml:2: raft.heartbeat.interval (900ms) must be"))
        let other = complaints("raft.election.timeout: 50ms\n")
        #expect(other.count == 1 && other[0].hasPrefix("n.yaml:1: "), "the one of the two that was set")
        let wild = complaints("kafka.listen: 0.0.0.0:1\n")
        #expect(wild == ["n.yaml:1: kafka.listen is 0.0.0.0, which clients cannot connect to: set kafka.advertise"])
    }

    @Test func aNameWithoutAValueIsNoDefault() {
        for nothing in ["", " ~", " null"] {
            #expect(
                complaints("node.rack:\(nothing)\n")
                    == ["n.yaml:1: node.rack has no value: leave the line out to have the default"])
        }
    }

    @Test(arguments: [
        ("- a\n- b\n", "n.yaml:1: the file must be a mapping of settings"),
        ("only text\n", "n.yaml:1: the file must be a mapping of settings"),
        ("node.id: 1\n[x]: 2\n", "n.yaml:2: a setting's name must be a plain text"),
        ("node.id: 1\n'': 2\n", "n.yaml:2: a setting's name must be a plain text"),
        ("cluster.voters:\n  - {a: 1}\n", "n.yaml:2: cluster.voters: every item must be one value"),
    ])
    func aFileOfAnotherShapeIsRefused(yaml: String, complaint: String) {
        #expect(complaints(yaml) == [complaint])
    }

    @Test(arguments: ["node: [\n", "node: {a\n", "a: b: c\n", "\tnode: 1\n", "node: 'x\n", "node: *nobody\n", "%x\n"])
    func whatIsNotYAMLIsSaidWithItsLine(yaml: String) {
        let found = complaints(yaml)
        #expect(found.count == 1 && found[0].hasPrefix("n.yaml:") && found[0].contains("not YAML"), "\(found)")
    }

    @Test func aDeepFileIsRefused() {
        var nested = ""
        for depth in 0..<40 { nested += String(repeating: " ", count: depth) + "a:\n" }
        nested += String(repeating: " ", count: 40) + "a: 1\n"
        #expect(complaints(nested) == ["n.yaml:17: nested too deeply"])
    }

    @Test func complaintsShowNoControlCharacters() {
        let found = complaints("node.id: \"\\e[31m\"\n\"a\\e[31m\": 1\n")
        #expect(found.count == 2 && found.allSatisfy { !$0.contains("\u{1B}") }, "\(found)")
        let flags = complaints(environment: ["GODWIT_\u{1B}": "1"], flags: ["\u{9B}31m=1", "\u{7F}"])
        #expect(flags.count == 3 && flags.allSatisfy { $0.unicodeScalars.allSatisfy { $0.value >= 0x20 } }, "\(flags)")
        #expect(flags.allSatisfy { !$0.contains("\u{9B}") && !$0.contains("\u{7F}") })
    }

    // MARK: Suggestions

    @Test(arguments: [
        ("node.di", "node.id"), ("node_id", "node.id"), ("kafka.advertised", "kafka.advertise"),
        ("raft.election.timeouts", "raft.election.timeout"), ("cluster.voter", "cluster.voters"),
    ])
    func aNearNameIsSuggested(wrong: String, meant: String) {
        #expect(complaints("\(wrong): 1\n") == ["n.yaml:1: unknown setting \(wrong); did you mean \(meant)?"])
    }

    @Test func aLongNameIsCutShort() {
        let found = complaints("? \(String(repeating: "long", count: 10_000))\n: 1\n")
        #expect(found.count == 1 && found[0].hasPrefix("n.yaml:1: unknown setting longlong"), "\(found)")
        #expect(found.allSatisfy { $0.count < 500 })
    }

    @Test(arguments: ["zookeeper.connection.url", "x", String(repeating: "long", count: 30)])
    func nothingIsSuggestedForAStrangeName(name: String) {
        #expect(complaints("\(name): 1\n") == ["n.yaml:1: unknown setting \(name)"])
    }

    @Test func theTableShowsEverySetting() throws {
        let table = NodeConfiguration.table()
        for declaration in SettingDeclaration.all {
            #expect(table.contains(declaration.name) && table.contains(declaration.summary), "\(declaration.name)")
        }
        let shown = NodeConfiguration.table(of: try read("node.rack: over-there\n"))
        #expect(shown.contains("over-there") && !table.contains("over-there"))
    }
}
