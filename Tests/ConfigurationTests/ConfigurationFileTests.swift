// SPDX-License-Identifier: Apache-2.0

import Configuration
import Foundation
import LogModel
import Settings
import Testing

@Suite struct ConfigurationFileTests {
    private static let clusters = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "cluster-configs")

    private func load(_ path: String, flags: [String] = []) throws(ConfigurationError) -> NodeSettings {
        try NodeConfiguration.load(file: path, environment: [:], flags: flags, mode: .node)
    }

    private func example(_ cluster: String, _ node: Int) throws -> NodeSettings {
        try load(Self.clusters.appending(path: "\(cluster)/node\(node).yaml").path())
    }

    /// A file that is gone when the test ends.
    private func withFile(_ content: Data, _ body: (String) throws -> Void) throws {
        let place = FileManager.default.temporaryDirectory.appending(path: "godwit-\(UUID().uuidString).yaml")
        try content.write(to: place)
        defer { try? FileManager.default.removeItem(at: place) }
        try body(place.path())
    }

    @Test(arguments: ["local", "three-machines"])
    func theExampleClustersFitTogether(cluster: String) throws {
        let nodes = try (1...3).map { try example(cluster, $0) }
        #expect(nodes.map(\.node.id) == [NodeID(1), NodeID(2), NodeID(3)])
        let first = try #require(nodes.first)
        #expect(first.voters.map(\.id) == nodes.map(\.node.id))
        for node in nodes {
            #expect(node.voters == first.voters && node.isVoter)
            #expect(node.voters.contains { $0.id == node.node.id && $0.address == node.peerAddress })
        }
        #expect(Set(nodes.map(\.kafka.advertised)).count == 3 && Set(nodes.map(\.peerAddress)).count == 3)
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.clusters.appending(path: cluster).path())
        #expect(files.sorted() == ["node1.yaml", "node2.yaml", "node3.yaml"])
    }

    @Test func theJoiningNodesFindTheExampleClusters() throws {
        for (file, cluster) in [("local-node4", "local"), ("machine-node4", "three-machines")] {
            let joining = try load(Self.clusters.appending(path: "joining/\(file).yaml").path())
            let nodes = try (1...3).map { try example(cluster, $0) }
            #expect(joining.node.id == NodeID(4) && joining.voters.isEmpty)
            #expect(joining.cluster.seeds == nodes.map(\.peerAddress))
            #expect(Set(([joining] + nodes).map(\.kafka.advertised)).count == 4)
            #expect(Set(([joining] + nodes).map(\.peerAddress)).count == 4)
        }
    }

    @Test func theLocalClusterIsWhereTheReadmeSays() throws {
        let nodes = try (1...3).map { try example("local", $0) }
        #expect(nodes.map(\.kafka.listen.description) == ["127.0.0.1:9092", "127.0.0.1:9093", "127.0.0.1:9094"])
        #expect(nodes.map(\.peer.listen.port) == [19092, 19093, 19094])
        #expect(Set(nodes.map(\.node.data)).count == 3)
        #expect(nodes.allSatisfy { $0.node.data.hasPrefix("./cluster-data/") })
    }

    @Test func theThreeMachinesStandInThreeRacks() throws {
        #expect(try Set((1...3).map { try example("three-machines", $0).node.rack }).count == 3)
    }

    @Test func aMissingFileIsNamed() {
        do throws(ConfigurationError) {
            _ = try load("/no/such/file.yaml", flags: ["node.id=1", "cluster.voters=1@a:19092"])
            Issue.record("loaded")
        } catch {
            #expect(error.complaints.map(\.description) == ["/no/such/file.yaml: there is no such file"])
            #expect(error.description == "/no/such/file.yaml: there is no such file")
        }
    }

    @Test func aFolderIsNoFile() {
        #expect(throws: ConfigurationError.self) { try load(Self.clusters.path()) }
    }

    @Test func whatIsNoTextIsRefused() throws {
        try withFile(Data([0x6e, 0xff, 0xfe, 0x0a])) { path in
            do throws(ConfigurationError) {
                _ = try load(path)
                Issue.record("loaded")
            } catch {
                #expect(error.complaints.first?.description == "\(path): not UTF-8 text")
            }
        }
    }

    @Test func aHugeFileIsNotRead() throws {
        try withFile(Data(repeating: UInt8(ascii: "#"), count: (1 << 20) + 1)) { path in
            do throws(ConfigurationError) {
                _ = try load(path)
                Issue.record("loaded")
            } catch {
                #expect(error.complaints.first?.message.contains("longer than 1048576 bytes") == true)
            }
        }
        try withFile(Data(("#" + String(repeating: "x", count: (1 << 20) - 60) + "\nnode.id: 3\n").utf8)) { path in
            let settings = try load(path, flags: ["cluster.voters=3@127.0.0.1:19092"])
            #expect(settings.node.id == NodeID(3))
        }
    }

    @Test func noFileIsNeeded() throws {
        let settings = try NodeConfiguration.load(
            file: nil, environment: ["GODWIT_NODE_ID": "4"], flags: ["cluster.voters=4@127.0.0.1:19092"], mode: .node)
        #expect(settings.node.id == NodeID(4))
    }
}
