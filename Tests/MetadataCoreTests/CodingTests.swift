// SPDX-License-Identifier: Apache-2.0

import LogModel
import MetadataCore
import Settings
import Testing

@Suite struct CommandCodingTests {
    private func failure(_ bytes: [UInt8]) -> MetadataDecodingError? {
        do throws(MetadataDecodingError) { _ = try MetadataCommand(decoding: bytes) } catch { return error }
        return nil
    }

    @Test(arguments: sampleCommands)
    func aCommandSurvivesARoundTrip(command: MetadataCommand) throws {
        #expect(try MetadataCommand(decoding: command.encode()) == command)
    }

    @Test(arguments: sampleCommands)
    func everyTruncationIsRefused(command: MetadataCommand) {
        let bytes = command.encode()
        for length in bytes.indices { #expect(failure(Array(bytes[..<length])) == .truncated, "\(length)") }
        #expect(failure(bytes + [0]) == .trailingBytes(1))
    }

    /// One value, one form: what is accepted must be written again byte for byte.
    @Test(arguments: sampleCommands)
    func damageIsRefusedOrMeansWhatItSays(command: MetadataCommand) throws {
        let bytes = command.encode()
        for place in bytes.indices {
            for value in UInt8.min...UInt8.max {
                var damaged = bytes
                damaged[place] = value
                if let read = try? MetadataCommand(decoding: damaged) { #expect(read.encode() == damaged) }
            }
        }
    }

    @Test func noiseNeverTraps() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<20_000 {
            let kind = UInt8.random(in: 0...25, using: &random)
            let noise = (0..<Int.random(in: 0..<60, using: &random)).map { _ in
                UInt8(truncatingIfNeeded: random.next() >> UInt64.random(in: 0...63, using: &random))
            }
            if let read = try? MetadataCommand(decoding: [1, kind] + noise) {
                #expect(read.encode() == [1, kind] + noise)
            }
        }
    }

    /// These bytes lie on disks: a change here needs another version.
    @Test func theFormatIsWhatItWas() {
        #expect(
            sampleCommands[0].encode() == [
                1, 1, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10,
            ])
        #expect(
            MetadataCommand.registerNode(registration(3, rack: "r")).encode() == [1, 2, 3]
                + [2, 0x68, 0x33, 0x84, 0x47] + [2, 0x70, 0x33, 0x94, 0x95, 0x01] + [1, 1, 0x72]
                + [0, 0, 0, 0, 0, 0, 0, 1] + [0, 0, 0, 0, 0, 0, 0, 2])
        let id: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1]
        let segment: [UInt8] = [1, 10] + Array("segment.ms".utf8) + [1, 0x35]
        #expect(
            newTopic("ev", id: 1, placements([1, 300], [2]), configs: configs([("segment.ms", "5")])).encode()
                == [1, 3] + id + [2, 0x65, 0x76] + [2, 2, 1, 0xac, 0x02, 1, 2] + segment
                + [0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00])
        #expect(MetadataCommand.deleteTopic(topicID(1)).encode() == [1, 4] + id)
        #expect(
            MetadataCommand.createPartitions(
                AddedPartitions(topic: topicID(1), after: 200, partitions: placements([3]))
            ).encode() == [1, 5] + id + [0xc8, 0x01, 1, 1, 3])
        #expect(
            MetadataCommand.alterTopicConfigs(topicID(1), configs([("segment.ms", "5")])).encode()
                == [1, 6] + id + segment)
        #expect(
            MetadataCommand.allocateProducerIDs(ProducerIDClaim(node: NodeID(3), nonce: 258)).encode()
                == [1, 16, 3, 0, 0, 0, 0, 0, 0, 1, 2])
    }

    @Test func aLaterVersionIsNotGuessedAt() {
        #expect(failure([2, 1]) == .unknownVersion(2))
        #expect(failure([0]) == .unknownVersion(0))
        #expect(failure([1, 0]) == .unknownCommand(0) && failure([1, 7]) == .unknownCommand(7))
        #expect(failure([]) == .truncated)
    }

    @Test func countsAreHeldAgainstWhatIsThere() {
        let id = [UInt8](repeating: 1, count: 16)
        let million: [UInt8] = [0xc0, 0x84, 0x3d]
        let more: [UInt8] = [0xc1, 0x84, 0x3d]
        #expect(failure([1, 5] + id + [0] + million + [1, 1]) == .truncated)
        #expect(failure([1, 5] + id + [0] + more + [1, 1]) == .tooLarge("a count of partitions"))
        #expect(failure([1, 5] + id + more + [1, 1, 1]) == .tooLarge("a count of partitions"))
        #expect(failure([1, 5] + id + [0, 1, 0x80, 0x02] + [UInt8](repeating: 1, count: 300)) != nil)
        #expect(failure([1, 6] + id + [0x81, 0x02]) == .tooLarge("a count of topic configs"))
        #expect(failure([1, 6] + id + [0x80, 0x02, 1, 1, 1, 1]) == .truncated)
        #expect(failure([1, 6] + id + [1, 0x81, 0x20] + [UInt8](repeating: 0x61, count: 5_000)) != nil)
        let endless = [UInt8](repeating: 0xff, count: 9)
        #expect(failure([1, 5] + id + endless + [1]) == .tooLarge("a count of partitions"))
        #expect(failure([1, 5] + id + endless + [2]) == .malformed("a number"))
        #expect(failure([1, 5] + id + endless + [0x81, 0]) == .malformed("a number"))
        #expect(failure([1, 5] + id + [0x80, 0, 1, 1, 1]) == .malformed("a number"))
    }

    @Test func partsThatBreakTheirOwnRulesAreRefused() {
        let id = [UInt8](repeating: 1, count: 16)
        let rest: [UInt8] = [1, 1, 1, 0] + [UInt8](repeating: 0, count: 8)
        #expect(failure([1, 3] + id + [1, 0x61] + rest) == nil)
        #expect(failure([1, 3] + id + [1, 0x2f] + rest) == .malformed("a topic name"))
        #expect(failure([1, 3] + id + [1, 0xff] + rest) == .malformed("a topic name"))
        #expect(failure([1, 3] + id + [0] + rest) == .malformed("a topic name"))
        #expect(
            failure([1, 3] + id + [0xfa, 0x01] + [UInt8](repeating: 0x61, count: 300)) == .tooLarge("a topic name"))
        // A node id of 2³¹, a port of 65536, a rack that is neither there nor not.
        #expect(failure([1, 5] + id + [0, 1, 1, 0x80, 0x80, 0x80, 0x80, 0x08]) == .malformed("a node id"))
        #expect(failure([1, 2, 1, 1, 0x61, 0x80, 0x80, 0x04, 1, 0x61, 1]) == .malformed("a port"))
        #expect(failure([1, 2, 1, 1, 0x61, 1, 1, 0x61, 1, 2]) == .malformed("a rack"))
        // Configs out of order, and one twice.
        #expect(failure([1, 6] + id + [2, 1, 0x62, 0, 1, 0x61, 0]) == .malformed("the topic configs"))
        #expect(failure([1, 6] + id + [2, 1, 0x61, 0, 1, 0x61, 0]) == .malformed("the topic configs"))
    }
}

@Suite struct SnapshotTests {
    private func failure(_ bytes: [UInt8]) -> MetadataDecodingError? {
        do throws(MetadataDecodingError) { _ = try ClusterState(snapshot: bytes) } catch { return error }
        return nil
    }

    private static let sample: ClusterState = {
        var state = ClusterState.formed(racks: ["a", "b"])
        state.apply(newTopic("b.c", id: 2, placements([1, 2], [3, 1]), configs: configs([("retention.ms", "7")])))
        state.apply(newTopic("a", id: 5, placements([2])))
        state.apply(.changeGroupConfigs("orders", [ConfigChange(name: "consumer.session.timeout.ms", value: "50000")]))
        return state
    }()

    @Test func anEmptyStateSurvives() throws {
        #expect(try ClusterState(snapshot: ClusterState().encodeSnapshot()) == ClusterState())
        #expect(try ClusterState(snapshot: Self.sample.encodeSnapshot()) == Self.sample)
    }

    @Test(arguments: 0..<30 as Range<UInt64>)
    func aStateGoesOnFromItsSnapshotAsIfNothingHadHappened(seed: UInt64) throws {
        let commands = history(seed: seed)
        var random = SeededRandom(seed: seed)
        var whole = ClusterState()
        var restored = ClusterState()
        for (place, command) in commands.enumerated() {
            let offset = Offset(Int64(place * 2))
            #expect(whole.apply(command, at: offset) == restored.apply(command, at: offset))
            if Int.random(in: 0..<10, using: &random) == 0 {
                let bytes = restored.encodeSnapshot()
                restored = try ClusterState(snapshot: bytes)
                #expect(restored.encodeSnapshot() == bytes)
                // The log is read again from somewhat earlier.
                for earlier in max(0, place - 3)...place {
                    let change = restored.apply(commands[earlier], at: Offset(Int64(earlier * 2)))
                    #expect(change == .alreadyApplied)
                }
            }
            #expect(restored == whole)
        }
    }

    @Test func aSnapshotWithoutGroupConfigsIsOneThatOlderNodesRead() throws {
        var state = ClusterState.formed(racks: ["a", "b"])
        #expect(state.encodeSnapshot().first == 1)
        state.apply(.changeGroupConfigs("g", [ConfigChange(name: "x", value: "1")]))
        let bytes = state.encodeSnapshot()
        #expect(bytes.first == 3)
        // No producer ids, one group with one config.
        #expect(bytes.suffix(9) == [0, 1, 1, 0x67, 1, 1, 0x78, 1, 0x31])
        state.apply(.changeGroupConfigs("g", [ConfigChange(name: "x", value: nil)]))
        #expect(state.encodeSnapshot().first == 1)
    }

    @Test func groupConfigsThatApplyCouldNotHaveMadeAreRefused() throws {
        var state = ClusterState.formed(racks: ["a"])
        state.apply(.changeGroupConfigs("g", [ConfigChange(name: "x", value: "1")]))
        let rest = Array(state.encodeSnapshot().dropLast(8))
        #expect(failure(rest + [0]) == .malformed("the count of groups"))
        #expect(failure(rest + [1, 1, 0x67, 0, 0]) == .malformed("the group configs"))
        let group: [UInt8] = [1, 0x67, 1, 1, 0x78, 0]
        #expect(failure(rest + [1] + group) == nil)
        #expect(failure(rest + [2] + group + group) == .malformed("the order of groups"))
    }

    @Test func everyTruncationIsRefused() {
        let bytes = Self.sample.encodeSnapshot()
        for length in bytes.indices { #expect(failure(Array(bytes[..<length])) == .truncated, "\(length)") }
        #expect(failure(bytes + [0]) == .trailingBytes(1))
    }

    @Test func damageIsRefusedOrMeansWhatItSays() {
        let bytes = Self.sample.encodeSnapshot()
        for place in bytes.indices {
            for value in [0, 1, 2, 0x7f, 0x80, 0xff, bytes[place] ^ 1, bytes[place] &+ 1] {
                var damaged = bytes
                damaged[place] = value
                if let read = try? ClusterState(snapshot: damaged) { #expect(read.encodeSnapshot() == damaged) }
            }
        }
    }

    @Test func whatApplyCouldNotHaveMadeIsRefused() {
        let id: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1]
        let other: [UInt8] = id.dropLast() + [2]
        let disk = [UInt8](repeating: 0, count: 16)
        let formed: [UInt8] = [1, 9, 1] + disk
        func node(_ id: UInt8) -> [UInt8] { [id, 1, 0x61, 1, 1, 0x61, 1, 0] + disk + [3] }
        func topic(_ name: Character, _ id: [UInt8], on node: UInt8 = 1, at offset: UInt8 = 8) -> [UInt8] {
            [1, name.asciiValue ?? 0] + id + [1, 1, node, 0] + [UInt8](repeating: 0, count: 8) + [offset]
        }
        let one: [UInt8] = [1] + node(1)
        #expect(failure(formed + one + [1] + topic("a", id)) == nil)
        #expect(failure([1, 9, 2] + disk) == .malformed("the cluster id"))
        #expect(failure(formed + [1] + node(1).dropLast() + [9, 0]) == .malformed("when a node came"))
        #expect(failure(formed + [2] + node(2) + node(1) + [0]) == .malformed("the order of nodes"))
        #expect(failure(formed + [2] + node(1) + node(1) + [0]) == .malformed("the order of nodes"))
        #expect(failure(formed + one + [2] + topic("b", id) + topic("a", other)) == .malformed("the order of topics"))
        #expect(failure(formed + one + [2] + topic("a", id) + topic("a", other)) == .malformed("the order of topics"))
        #expect(failure(formed + one + [2] + topic("a", id) + topic("b", id)) == .malformed("topic 'b'"))
        #expect(failure(formed + one + [2] + topic(".", id) + topic("_", other)) == .malformed("a topic name"))
        #expect(failure(formed + one + [1] + topic("a", id, on: 2)) == .malformed("topic 'a'"))
        #expect(failure(formed + one + [1] + topic("a", id, at: 9)) == .malformed("topic 'a'"), "made after the end")
        #expect(failure([1, 9, 0] + one + [1] + topic("a", id)) == .malformed("topic 'a'"), "made before all")
        #expect(failure([2]) == .truncated)
        #expect(failure([3]) == .truncated)
        #expect(failure([4]) == .truncated)
        #expect(failure([5]) == .unknownVersion(5))
    }

    @Test func reservedTopicIDsAreRefused() {
        let disk = [UInt8](repeating: 0, count: 16)
        for last in [0, 1] as [UInt8] {
            let topic: [UInt8] =
                [1, 0x61] + [UInt8](repeating: 0, count: 15) + [last] + [1, 1, 1, 0] + [UInt8](repeating: 0, count: 9)
            let bytes: [UInt8] = [1, 9, 1] + disk + [1, 1, 1, 0x61, 1, 1, 0x61, 1, 0] + disk + [0, 1] + topic
            #expect(failure(bytes) == .malformed("topic 'a'"))
        }
    }

    @Test func countsAreHeldAgainstWhatIsThere() {
        let head: [UInt8] = [1, 9, 0]
        // A million nodes, ten million topics, and one more of each.
        #expect(failure(head + [0xc0, 0x84, 0x3d] + [UInt8](repeating: 0, count: 100)) == .truncated)
        #expect(failure(head + [0xc1, 0x84, 0x3d]) == .tooLarge("the count of nodes"))
        #expect(failure(head + [0, 0x80, 0xad, 0xe2, 0x04]) == .truncated)
        #expect(failure(head + [0, 0x81, 0xad, 0xe2, 0x04]) == .tooLarge("the count of topics"))
    }
}
