// SPDX-License-Identifier: Apache-2.0

import LogModel
import Settings

// The format that commands and snapshots share. Whole numbers from 0 are varints (LEB128, shortest form), ids and
// times are fixed big-endian, texts and lists follow their count.
//
// A snapshot and a command begin with the version of this format. A later version may add kinds of commands and
// fields; a node that meets a version it does not know stops following rather than guess.

/// The version of the format written by this code.
let metadataVersion: UInt8 = 1

/// What one command or snapshot can hold at most. They are part of the format: apply and decode agree on them.
enum MetadataBounds {
    static let replicas = 255
    static let partitions = 1_000_000
    static let nodes = 1_000_000
    static let topics = 10_000_000
    static let hostBytes = 255
    static let rackBytes = 4_096
    static let groupNameBytes = 32_767
    static let groups = 1_000_000
    static let moves = 100_000
    static let removedNodes = 1_000
}

struct MetadataWriter {
    private(set) var bytes: [UInt8] = []

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func count(_ value: Int) { varint(UInt64(value)) }

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func fixed(_ value: UInt64) {
        for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    mutating func text(_ value: String) {
        count(value.utf8.count)
        bytes.append(contentsOf: value.utf8)
    }

    mutating func id(_ value: TopicID) {
        fixed(value.high)
        fixed(value.low)
    }

    mutating func node(_ value: NodeID) { varint(UInt64(value.rawValue)) }

    mutating func nodes(_ value: [NodeID]) {
        count(value.count)
        for one in value { node(one) }
    }

    mutating func partition(_ value: PartitionID) {
        id(value.topic)
        varint(UInt64(value.index))
    }

    mutating func placements(_ value: [PartitionPlacement]) {
        count(value.count)
        for placement in value { nodes(placement.replicas) }
    }

    mutating func configs(_ value: TopicConfigs) { overrides(value.overrides) }

    mutating func overrides(_ value: [TopicConfigs.Override]) {
        count(value.count)
        for override in value {
            text(override.name)
            text(override.value)
        }
    }

    mutating func changes(_ value: [ConfigChange]) {
        count(value.count)
        for change in value {
            text(change.name)
            byte(change.value == nil ? 0 : 1)
            if let value = change.value { text(value) }
        }
    }

    mutating func registration(_ value: NodeRegistration) {
        node(value.id)
        for address in [value.kafka, value.peer] {
            text(address.host)
            varint(UInt64(address.port))
        }
        byte(value.rack == nil ? 0 : 1)
        if let rack = value.rack { text(rack) }
        fixed(value.directory.high)
        fixed(value.directory.low)
    }
}

/// Reads what `MetadataWriter` writes. Nothing is allocated beyond what the bytes at hand can fill.
struct MetadataReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private var remaining: Int { bytes.count - position }

    func finish() throws(MetadataDecodingError) {
        guard remaining == 0 else { throw .trailingBytes(remaining) }
    }

    mutating func byte() throws(MetadataDecodingError) -> UInt8 {
        guard remaining > 0 else { throw .truncated }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func varint() throws(MetadataDecodingError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            let next = try byte()
            let part = UInt64(next & 0x7F)
            guard shift < 63 || part <= 1 else { throw .malformed("a number") }
            value |= part << shift
            if next < 0x80 {
                // One number, one form: equal states have equal bytes.
                guard next != 0 || shift == 0 else { throw .malformed("a number") }
                return value
            }
        }
        throw .malformed("a number")
    }

    /// A count of things that take at least `size` bytes each.
    mutating func count(of size: Int, max: Int, _ part: String) throws(MetadataDecodingError) -> Int {
        let value = try varint()
        guard value <= UInt64(max) else { throw .tooLarge(part) }
        guard Int(value) <= remaining / size else { throw .truncated }
        return Int(value)
    }

    mutating func fixed() throws(MetadataDecodingError) -> UInt64 {
        guard remaining >= 8 else { throw .truncated }
        defer { position += 8 }
        return bytes[position..<(position + 8)].reduce(0) { $0 << 8 | UInt64($1) }
    }

    mutating func text(max: Int, _ part: String) throws(MetadataDecodingError) -> String {
        let length = try count(of: 1, max: max, part)
        defer { position += length }
        guard let text = String(validating: bytes[position..<(position + length)], as: UTF8.self) else {
            throw .malformed(part)
        }
        return text
    }

    mutating func topicID() throws(MetadataDecodingError) -> TopicID {
        TopicID(high: try fixed(), low: try fixed())
    }

    mutating func topicName() throws(MetadataDecodingError) -> TopicName {
        let text = try text(max: 249, "a topic name")
        do { return try TopicName(text) } catch { throw .malformed("a topic name") }
    }

    mutating func node() throws(MetadataDecodingError) -> NodeID {
        let value = try varint()
        guard value <= UInt64(Int32.max) else { throw .malformed("a node id") }
        return NodeID(Int32(value))
    }

    mutating func offset() throws(MetadataDecodingError) -> Offset {
        let value = try varint()
        guard value <= UInt64(Int64.max) else { throw .malformed("an offset") }
        return Offset(Int64(value))
    }

    mutating func timestamp() throws(MetadataDecodingError) -> Timestamp {
        Timestamp(milliseconds: Int64(bitPattern: try fixed()))
    }

    mutating func placements() throws(MetadataDecodingError) -> [PartitionPlacement] {
        let partitions = try count(of: 1, max: MetadataBounds.partitions, "a count of partitions")
        var placements: [PartitionPlacement] = []
        placements.reserveCapacity(partitions)
        for _ in 0..<partitions { placements.append(PartitionPlacement(replicas: try nodes())) }
        return placements
    }

    mutating func nodes() throws(MetadataDecodingError) -> [NodeID] {
        let count = try count(of: 1, max: MetadataBounds.replicas, "a count of replicas")
        var nodes: [NodeID] = []
        nodes.reserveCapacity(count)
        for _ in 0..<count { nodes.append(try node()) }
        return nodes
    }

    mutating func partition() throws(MetadataDecodingError) -> PartitionID {
        let topic = try topicID()
        let index = try varint()
        guard index < UInt64(MetadataBounds.partitions) else { throw .malformed("a partition's index") }
        return PartitionID(topic: topic, index: Int32(index))
    }

    mutating func flag(_ part: String) throws(MetadataDecodingError) -> Bool {
        switch try byte() {
        case 0: return false
        case 1: return true
        default: throw .malformed(part)
        }
    }

    mutating func moves() throws(MetadataDecodingError) -> [PartitionMove] {
        // 18 bytes: a cancelled move.
        let count = try count(of: 18, max: MetadataBounds.moves, "a count of moves")
        var moves: [PartitionMove] = []
        moves.reserveCapacity(count)
        for _ in 0..<count {
            let partition = try partition()
            let target = try flag("a move") ? try nodes() : nil
            moves.append(PartitionMove(partition: partition, target: target))
        }
        return moves
    }

    mutating func configs() throws(MetadataDecodingError) -> TopicConfigs {
        guard let configs = TopicConfigs(stored: try overrides()) else { throw .malformed("the topic configs") }
        return configs
    }

    mutating func groupName() throws(MetadataDecodingError) -> String {
        try text(max: MetadataBounds.groupNameBytes, "a group's name")
    }

    mutating func changes() throws(MetadataDecodingError) -> [ConfigChange] {
        var changes: [ConfigChange] = []
        for _ in 0..<(try count(of: 2, max: TopicConfigs.countMax, "a count of configs")) {
            let name = try text(max: TopicConfigs.textBytesMax, "a config's name")
            switch try byte() {
            case 0: changes.append(ConfigChange(name: name, value: nil))
            case 1:
                let value = try text(max: TopicConfigs.textBytesMax, "a config's value")
                changes.append(ConfigChange(name: name, value: value))
            default: throw .malformed("a config")
            }
        }
        return changes
    }

    mutating func overrides() throws(MetadataDecodingError) -> [TopicConfigs.Override] {
        var overrides: [TopicConfigs.Override] = []
        for _ in 0..<(try count(of: 2, max: TopicConfigs.countMax, "a count of topic configs")) {
            let name = try text(max: TopicConfigs.textBytesMax, "a config's name")
            let value = try text(max: TopicConfigs.textBytesMax, "a config's value")
            overrides.append(TopicConfigs.Override(name: name, value: value))
        }
        return overrides
    }

    mutating func registration() throws(MetadataDecodingError) -> NodeRegistration {
        let id = try node()
        let kafka = try address()
        let peer = try address()
        let rack: String?
        switch try byte() {
        case 0: rack = nil
        case 1: rack = try text(max: MetadataBounds.rackBytes, "a rack")
        default: throw .malformed("a rack")
        }
        let directory = DirectoryID(high: try fixed(), low: try fixed())
        return NodeRegistration(id: id, kafka: kafka, peer: peer, rack: rack, directory: directory)
    }

    private mutating func address() throws(MetadataDecodingError) -> NetworkAddress {
        let host = try text(max: MetadataBounds.hostBytes, "a host")
        guard let port = UInt16(exactly: try varint()) else { throw .malformed("a port") }
        return NetworkAddress(host: host, port: port)
    }
}
