// SPDX-License-Identifier: Apache-2.0

import LogModel
import MetadataCore
import Settings
import Testing

/// Bytes that lie on disks, written by the encoder of before partitions could be moved.
@Suite struct OldFormatTests {
    private static let commands = [
        "01010123456789abcdeffedcba9876543210",
        "010201026831844702703194950101016100000000000000010000000000000002",
        "01020202683284470270329495010000000000000000010000000000000002",
        "01020302683384470270339495010000000000000000010000000000000002",
        "010300000000000000070000000000000001066576656e74730203010203020301010c726574656e74696f6e2e6d7304"
            + "313030300000018bcfe56800",
        "0110030000000000000102",
        "0112066f7264657273011b636f6e73756d65722e73657373696f6e2e74696d656f75742e6d7301053530303030",
    ]

    /// Versions 1, 2 and 3: after all but the last two commands, all but the last one, and all of them.
    private static let snapshots = [
        "0105010123456789abcdeffedcba98765432100301026831844702703194950101016100000000000000010000000000"
            + "000002010202683284470270329495010000000000000000010000000000000002020302683384470270339495010000"
            + "0000000000000100000000000000020301066576656e7473000000000000000700000000000000010203010203020301"
            + "010c726574656e74696f6e2e6d7304313030300000018bcfe5680004",
        "0206010123456789abcdeffedcba98765432100301026831844702703194950101016100000000000000010000000000"
            + "000002010202683284470270329495010000000000000000010000000000000002020302683384470270339495010000"
            + "0000000000000100000000000000020301066576656e7473000000000000000700000000000000010203010203020301"
            + "010c726574656e74696f6e2e6d7304313030300000018bcfe5680004e807",
        "0307010123456789abcdeffedcba98765432100301026831844702703194950101016100000000000000010000000000"
            + "000002010202683284470270329495010000000000000000010000000000000002020302683384470270339495010000"
            + "0000000000000100000000000000020301066576656e7473000000000000000700000000000000010203010203020301"
            + "010c726574656e74696f6e2e6d7304313030300000018bcfe5680004e80701066f7264657273011b636f6e73756d6572"
            + "2e73657373696f6e2e74696d656f75742e6d73053530303030",
    ]

    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = Array(hex.utf8)
        return stride(from: 0, to: digits.count, by: 2).map { place in
            UInt8(String(decoding: digits[place...place + 1], as: UTF8.self), radix: 16) ?? 0
        }
    }

    @Test func oldCommandsAreReadAndWrittenAsTheyWere() throws {
        var state = ClusterState()
        for (place, hex) in Self.commands.enumerated() {
            let bytes = Self.bytes(hex)
            let command = try MetadataCommand(decoding: bytes)
            #expect(command.encode() == bytes)
            state.apply(command)
            if place >= Self.commands.count - 3 {
                let snapshot = Self.bytes(Self.snapshots[place - Self.commands.count + 3])
                #expect(state.encodeSnapshot() == snapshot)
                #expect(try ClusterState(snapshot: snapshot) == state)
            }
        }
    }

    @Test(arguments: 0..<3)
    func anOldSnapshotSaysThatNothingMoves(place: Int) throws {
        let state = try ClusterState(snapshot: Self.bytes(Self.snapshots[place]))
        let topic = try #require(state.topic(named: name("events")))
        #expect(topic.partitions == placements([1, 2, 3], [3, 1]))
        #expect(topic.partitions.map(\.founders) == [nodes(1, 2, 3), nodes(3, 1)])
        #expect(topic.partitions.allSatisfy { !$0.isMoving && $0.hosts == $0.replicas && $0.wanted == $0.replicas })
        #expect(state.movingCount == 0 && state.drainingNodes.isEmpty && state.removedNodes.isEmpty)
        #expect(!state.isRebalancing)
    }
}
