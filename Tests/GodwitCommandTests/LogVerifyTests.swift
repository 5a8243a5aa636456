// SPDX-License-Identifier: Apache-2.0

import Broker
import Disk
import Foundation
import LogModel
import MetadataCore
import NIOCore
import Testing

@testable import godwit

@Suite struct LogVerifyTests {
    /// What a node writes is sound for `godwit log verify`, and with any bit turned over it is not.
    @Test func snapshotsOfTheMetadataAreJudgedAsTheNodeJudgesThem() throws {
        let directory = NSTemporaryDirectory() + "godwit-verify-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = directory + "/snapshot"
        var state = ClusterState()
        _ = state.apply(.formCluster(ClusterID(high: 1, low: 2)), at: Offset(0))
        let bytes = Data(MetadataSnapshot(state: state, nextOffset: Offset(1)).encoded().readableBytesView)
        try bytes.write(to: URL(filePath: path))
        #expect(LogVerify.flaws(ofSnapshot: path, RealFileSystem()).isEmpty)
        for place in bytes.indices {
            var damaged = bytes
            damaged[place] ^= 1
            try damaged.write(to: URL(filePath: path))
            #expect(LogVerify.flaws(ofSnapshot: path, RealFileSystem()).count == 1, "byte \(place)")
        }
    }
}
