// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Configuration
import LogModel
import Settings
import Testing

@testable import godwit

struct NewNodeTests {
    private func read(_ node: NewNode) throws -> NodeSettings {
        try NodeConfiguration.read(yaml: node.yaml, named: "new.yaml", mode: .node)
    }

    @Test func whatIsWrittenIsAConfigurationThatJoins() throws {
        let node = NewNode(
            id: 4, host: "node4.example.org", rack: "it's: #1", data: "/var/lib/godwit", kafkaPort: 9092,
            peerPort: 19092, seeds: ["a:19092", "[::1]:19092"])
        let settings = try read(node)
        #expect(settings.node.id.rawValue == 4 && settings.node.rack == "it's: #1")
        #expect(settings.node.data == "/var/lib/godwit" && settings.voters.isEmpty)
        #expect(settings.kafka.listen.isWildcard && settings.kafka.advertised.description == "node4.example.org:9092")
        #expect(settings.peerAddress.description == "node4.example.org:19092")
        #expect(settings.cluster.seeds.map(\.description) == ["a:19092", "[::1]:19092"])
    }

    @Test(arguments: ["127.0.0.1", "localhost", "[::1]"])
    func aNodeOnThisMachineListensOnlyHere(host: String) throws {
        let node = NewNode(
            id: 5, host: host, rack: nil, data: "./data", kafkaPort: 9095, peerPort: 19095, seeds: ["127.0.0.1:19092"])
        let settings = try read(node)
        #expect(settings.kafka.listen == settings.kafka.advertised && !settings.kafka.listen.isWildcard)
        #expect(settings.peer.listen == settings.peerAddress && settings.node.rack == nil)
    }

    @Test func whatCannotBeConnectedToIsRefused() {
        for words in [["--host", "0.0.0.0"], ["--host", "a b"], ["--host", "a", "--kafka-port", "0"]] {
            #expect(throws: (any Error).self) { try ClusterAddNode.parse(words) }
        }
        #expect(throws: Never.self) { try ClusterAddNode.parse(["--host", "fe80::1"]) }
    }
}
