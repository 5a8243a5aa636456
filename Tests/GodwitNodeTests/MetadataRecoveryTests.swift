// SPDX-License-Identifier: Apache-2.0

import Broker
import Disk
import Foundation
import LogModel
import LogStorage
import Logging
import MetadataCore
import NIOCore
import RecordBatches
import Testing

@testable import GodwitNode

/// What a node does about its metadata when it starts, by what it finds.
@Suite struct MetadataRecoveryTests {
    private static let now = Timestamp(milliseconds: 1_700_000_000_000)
    private static let limits = LogLimits(segmentBytes: .kibibytes(16))

    /// A metadata folder that goes with the test.
    private final class Folder {
        let path = NSTemporaryDirectory() + "godwit-metadata-\(UUID().uuidString)"
        let files = RealFileSystem()

        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }

        func restore(hasPeers: Bool = true) throws -> MetadataSnapshot? {
            let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            return try MetadataRecovery(in: path, files: files, logger: quiet).restore(hasPeers: hasPeers, now: now)
        }

        func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path + "/" + name) }

        func writeSnapshot() throws {
            var state = ClusterState()
            state.apply(.formCluster(ClusterID(high: 1, low: 2)), at: Offset(0))
            let file = MetadataSnapshotFile(in: path, files: files)
            try file.stage(MetadataSnapshot(state: state, nextOffset: Offset(1)).encoded(), by: .own)
            try file.adopt(from: .own)
        }

        func flip() throws {
            var bytes = try Data(contentsOf: URL(filePath: path + "/snapshot"))
            bytes[9] ^= 1
            try bytes.write(to: URL(filePath: path + "/snapshot"))
        }

        /// A log of several segments, and of only the last ones when it is to be shortened.
        func writeLog(isShortened: Bool) throws {
            let log = try PartitionLog.open(directory: path + "/log", in: files, limits: limits, now: now)
            for _ in 0..<40 {
                var builder = BatchBuilder()
                builder.append(key: nil, value: ByteBuffer(repeating: 7, count: 2_000), headers: [], timestamp: now)
                var entry = try builder.finish()
                EntryHead.assign(baseOffset: log.endOffset, term: Term(1), in: &entry)
                log.append(entry, heads: [try EntryHead.parse(entry)])
                try log.writeOut()
            }
            if let ticket = log.beginSync() { _ = try log.completeSync(ticket, ticket.run()) }
            if isShortened {
                _ = try log.applyRetention(now: now, bytes: .zero, milliseconds: nil, committed: log.end)
                #expect(log.firstOffset > .zero)
            }
            try log.close()
        }
    }

    @Test func nothingIsNothing() throws {
        let folder = try Folder()
        #expect(try folder.restore() == nil)
        try folder.writeLog(isShortened: false)
        #expect(try folder.restore() == nil && folder.has("log"))
    }

    @Test func aSoundSnapshotIsReadAndLeftoversGo() throws {
        let folder = try Folder()
        try folder.writeSnapshot()
        try folder.writeLog(isShortened: true)
        try Data([1]).write(to: URL(filePath: folder.path + "/snapshot.own"))
        #expect(try folder.restore(hasPeers: false)?.nextOffset == Offset(1))
        #expect(!folder.has("snapshot.own") && folder.has("log"))
    }

    @Test func aDamagedOneIsSetAsideWhenTheLogIsWhole() throws {
        let folder = try Folder()
        try folder.writeSnapshot()
        try folder.flip()
        try folder.writeLog(isShortened: false)
        #expect(try folder.restore(hasPeers: false) == nil)
        #expect(folder.has("log") && folder.has("snapshot.damaged") && !folder.has("snapshot"))
        #expect(!folder.has("log.rebuilding"))
    }

    @Test func aDamagedOneOverAShortenedLogIsFetchedFromThePeers() throws {
        let folder = try Folder()
        try folder.writeSnapshot()
        try folder.flip()
        try folder.writeLog(isShortened: true)
        #expect(try folder.restore() == nil)
        // No vote until it has come, also after a restart in the middle.
        #expect(folder.has("log.rebuilding") && !folder.has("log") && folder.has("snapshot.damaged"))
        #expect(try folder.restore() == nil && folder.has("log.rebuilding"))
    }

    @Test func aDamagedOneWithoutALogIsNoFreshStart() throws {
        let folder = try Folder()
        try folder.writeSnapshot()
        try folder.flip()
        #expect(try folder.restore() == nil && folder.has("log.rebuilding"))
        let alone = try Folder()
        try alone.writeSnapshot()
        try alone.flip()
        #expect(throws: NodeError.self) { try alone.restore(hasPeers: false) }
    }

    @Test func whoIsAloneHasNobodyToAsk() throws {
        let folder = try Folder()
        try folder.writeSnapshot()
        try folder.flip()
        try folder.writeLog(isShortened: true)
        #expect(throws: NodeError.self) { try folder.restore(hasPeers: false) }
        #expect(folder.has("log") && folder.has("snapshot"), "nothing was touched")
    }

    @Test func aLaterVersionsSnapshotIsNotThrownAway() throws {
        let folder = try Folder()
        try folder.writeLog(isShortened: false)
        // CRC-32C of "GMS3" and of what follows it.
        var later = Data("GMS3".utf8)
        later.append(contentsOf: [0, 0, 0, 0])
        later.append(contentsOf: (0..<16).map { $0 == 7 ? 1 : $0 == 15 ? 2 : 0 })
        let sum: UInt32 = 0x6fb8_63d4
        for place in 0..<4 { later[4 + place] = UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * place)) }
        try later.write(to: URL(filePath: folder.path + "/snapshot"))
        #expect(throws: NodeError.self) { try folder.restore() }
        #expect(folder.has("snapshot") && folder.has("log") && !folder.has("log.rebuilding"))
    }
}
