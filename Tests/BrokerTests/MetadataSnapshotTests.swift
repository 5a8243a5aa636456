// SPDX-License-Identifier: Apache-2.0

import Broker
import Disk
import Foundation
import LogModel
import MetadataCore
import NIOCore
import Replication
import Settings
import Testing

@Suite struct MetadataSnapshotTests {
    private static func state(topicsEndingAt end: Int64 = 1) -> ClusterState {
        var state = ClusterState()
        state.apply(.formCluster(ClusterID(high: 1, low: 1)), at: Offset(0))
        for offset in 1..<max(1, end) { state.apply(.registerNode(node(9, "h\(offset)")), at: Offset(offset)) }
        return state
    }

    private static func node(_ id: Int32, _ host: String, disk: UInt64 = 1) -> NodeRegistration {
        NodeRegistration(
            id: NodeID(id), kafka: NetworkAddress(host: host, port: 1),
            peer: NetworkAddress(host: "p\(id)", port: 2), rack: nil, directory: DirectoryID(high: disk, low: 1))
    }

    private func damage(_ bytes: ByteBuffer) -> MetadataSnapshot.Damage? {
        do {
            _ = try MetadataSnapshot(decoding: bytes)
            return nil
        } catch {
            return error as? MetadataSnapshot.Damage
        }
    }

    @Test func everyFlippedBitAndEveryCutIsFound() throws {
        let bytes = MetadataSnapshot(state: Self.state(), nextOffset: Offset(1)).encoded()
        #expect(try MetadataSnapshot(decoding: bytes).state == Self.state())
        for at in bytes.readerIndex..<bytes.writerIndex {
            for bit in 0..<8 {
                var damaged = bytes
                damaged.setInteger((damaged.getInteger(at: at, as: UInt8.self) ?? 0) ^ (1 << bit), at: at)
                #expect(damage(damaged)?.isRot == true, "bit \(bit) of byte \(at)")
            }
        }
        for length in 0..<bytes.readableBytes {
            let cut = try #require(bytes.getSlice(at: 0, length: length))
            #expect(damage(cut)?.isRot == true, "\(length) bytes")
        }
    }

    @Test func theFirstVersionIsStillRead() throws {
        // Written by the version before: the checksum leaves the magic out.
        let text =
            "474d5331" + "00000000" + "0000000000000001" + "010101" + "0000000000000001" + "0000000000000001" + "0000"
        var bytes = ByteBuffer()
        for place in stride(from: 0, to: text.count, by: 2) {
            let start = text.index(text.startIndex, offsetBy: place)
            bytes.writeInteger(try #require(UInt8(text[start..<text.index(start, offsetBy: 2)], radix: 16)))
        }
        #expect(damage(bytes) == .checksum)
        bytes.setInteger(UInt32(0xa6a9_9f84), at: 4)
        let old = try MetadataSnapshot(decoding: bytes)
        #expect(old.state == Self.state() && old.nextOffset == Offset(1))
    }

    @Test func aLaterVersionIsNoDamage() throws {
        var later = ByteBuffer()
        later.writeMultipleIntegers(UInt32(0x474d_5333), UInt32(0), UInt64(1), UInt64(2))
        #expect(damage(later) == .checksum)
        // CRC-32C of "GMS3" and what follows.
        later.setInteger(UInt32(0x6fb8_63d4), at: 4)
        #expect(damage(later) == .laterVersion && damage(later)?.isRot == false)
    }

    // MARK: - The file

    private func withFile(_ body: (MetadataSnapshotFile<RealFileSystem>, String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "godwit-snapshot-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(MetadataSnapshotFile(in: path, files: RealFileSystem()), path)
    }

    @Test func missingAndDamagedAreTwoThings() throws {
        try withFile { file, path in
            #expect(try file.read() == nil)
            try file.stage(MetadataSnapshot(state: Self.state(), nextOffset: Offset(1)).encoded(), by: .own)
            #expect(try file.read() == nil, "what is only staged is no snapshot")
            try file.adopt(from: .own)
            #expect(try file.read()?.nextOffset == Offset(1))
            try Data([1, 2, 3]).write(to: URL(filePath: path + "/snapshot"))
            #expect(throws: MetadataSnapshot.Damage.self) { try file.read() }
            try Data().write(to: URL(filePath: path + "/snapshot"))
            #expect(throws: MetadataSnapshot.Damage.notASnapshot) { try file.read() }
            try file.setAside()
            #expect(try file.read() == nil)
            #expect(FileManager.default.fileExists(atPath: path + "/snapshot.damaged"))
        }
    }

    /// T-S5 (nats 7dca50c94).
    @Test func whatACrashLeavesIsIgnoredAndCleaned() throws {
        try withFile { file, path in
            let sound = MetadataSnapshot(state: Self.state(), nextOffset: Offset(1)).encoded()
            try file.stage(sound, by: .own)
            try file.adopt(from: .own)
            for writer in ["own", "leader"] { try Data([7]).write(to: URL(filePath: path + "/snapshot.\(writer)")) }
            #expect(try file.read()?.nextOffset == Offset(1))
            try file.removeLeftovers()
            #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["snapshot"])
            #expect(try file.read()?.nextOffset == Offset(1))
        }
    }

    // MARK: - The controller

    /// T-S8 (redpanda c9c675eb15).
    @Test func anOlderSnapshotChangesNothing() throws {
        let one = try OneController()
        one.form()
        let before = one.controller.state
        let end = one.controller.nextOffset
        let older = MetadataSnapshot(state: Self.state(), nextOffset: Offset(1)).encoded()
        let anchor = LogAnchor(position: LogPosition(term: Term(1), end: LogIndex(1)), offset: Offset(1))
        try one.controller.install(older, at: anchor)
        #expect(one.controller.state == before && one.controller.nextOffset == end)
        let newer = MetadataSnapshot(state: Self.state(topicsEndingAt: 50), nextOffset: Offset(50)).encoded()
        try one.controller.install(newer, at: anchor)
        #expect(one.controller.nextOffset == Offset(50) && one.controller.state.node(NodeID(9))?.kafka.host == "h49")
    }

    @Test func whoTheNodesAreIsWrittenOutAtOnce() throws {
        let one = try OneController()
        one.form()
        let result = one.propose(.registerNode(Self.node(5, "five")))
        guard case .success? = result else {
            Issue.record("\(String(describing: result))")
            return
        }
        one.node.settle()
        let stored = try MetadataSnapshotFile(in: one.directory, files: RealFileSystem()).read()
        #expect(stored?.state.node(NodeID(5)) != nil)
    }

    // MARK: - Joining

    @Test func theControllerAdmitsAndNamesTheOthers() throws {
        let one = try OneController()
        var answers: [JoinAnswer] = []
        one.controller.admit(Self.node(5, "five"), reachable: []) { answers.append($0) }
        #expect(answers == [.later("the cluster has not formed yet")])
        one.form()
        answers = []
        one.controller.admit(Self.node(5, "five"), reachable: []) { answers.append($0) }
        // While it is being registered, nobody else gets its id.
        one.controller.admit(Self.node(5, "five", disk: 2), reachable: []) { answers.append($0) }
        #expect(answers.count == 1)
        one.node.settle()
        guard case .admitted(_, let nodes)? = answers.last, case .later? = answers.first else {
            Issue.record("\(answers)")
            return
        }
        #expect(nodes == one.controller.state.nodes && nodes.contains { $0.id == NodeID(5) })
        answers = []
        one.controller.admit(Self.node(5, "five"), reachable: [NodeID(5)]) { answers.append($0) }
        one.controller.admit(Self.node(5, "five", disk: 2), reachable: [NodeID(5)]) { answers.append($0) }
        guard case .admitted? = answers.first, case .refused? = answers.last else {
            Issue.record("\(answers)")
            return
        }
    }

    @Test func answersComeBackAsTheyWereAndBadBytesAreNone() throws {
        let answers: [JoinAnswer] = [
            .admitted(ClusterID(high: 1, low: 2), []),
            .admitted(ClusterID(high: 1, low: 2), [Self.node(1, "a"), Self.node(2, "b")]),
            .refused("no"), .later(""),
        ]
        for answer in answers { #expect(JoinAnswer(decoding: answer.encoded()) == answer) }
        let bytes = answers[1].encoded()
        // 17 bytes are a whole answer that names nobody.
        for length in 0..<bytes.readableBytes where length != 17 {
            let cut = try #require(bytes.getSlice(at: 0, length: length))
            if let read = JoinAnswer(decoding: cut), case .admitted(_, let nodes) = read { #expect(nodes.count < 2) }
        }
        #expect(JoinAnswer(decoding: ByteBuffer()) == nil && JoinAnswer(decoding: ByteBuffer(bytes: [9])) == nil)
        let request = ControllerRequest.join(Self.node(4, "d"))
        guard case .join(let node)? = ControllerRequest(decoding: request.encoded()) else {
            Issue.record("not a request to join")
            return
        }
        #expect(node == Self.node(4, "d"))
        var forged = ByteBuffer(bytes: [4])
        forged.writeBytes(MetadataCommand.removeNode(NodeID(1)).encode())
        #expect(ControllerRequest(decoding: forged) == nil, "only a registration asks to join")
    }
}
