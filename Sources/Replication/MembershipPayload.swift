// SPDX-License-Identifier: Apache-2.0

import LogModel
import LogStorage
public import NIOCore
public import RaftCore

/// What a marker of the kind `EntryKind.membership` carries, big-endian:
///
///     version u8 (1) · three times, for voters, outgoing and learners: count u16 · node u32 … ascending
public enum MembershipPayload {
    private static let version: UInt8 = 1
    /// The most nodes in each of the three lists.
    private static let maximumCount: UInt16 = 1024

    /// - Precondition: somebody votes.
    public static func encode(_ members: RaftMembers) -> ByteBuffer {
        precondition(!members.voters.isEmpty, "a group has voters")
        #if MUTANTS
            let members = Mutant.isActive("T-M4") ? members.left : members
        #endif
        var bytes = ByteBuffer()
        bytes.writeInteger(version)
        for nodes in [members.voters, members.outgoing, members.learners] {
            precondition(nodes.count <= maximumCount, "a group has a bounded number of members")
            bytes.writeInteger(UInt16(nodes.count))
            for node in nodes { bytes.writeInteger(UInt32(node.rawValue)) }
        }
        return bytes
    }

    /// - Returns: `nil` for anything that `encode` does not write, such as a group without voters.
    public static func decode(_ bytes: ByteBuffer) -> RaftMembers? {
        var bytes = bytes
        guard bytes.readInteger(as: UInt8.self) == version, let voters = nodes(&bytes), !voters.isEmpty,
            let outgoing = nodes(&bytes), let learners = nodes(&bytes), bytes.readableBytes == 0
        else { return nil }
        let members = RaftMembers(voters: voters, outgoing: outgoing, learners: learners)
        return members.learners == learners ? members : nil
    }

    private static func nodes(_ bytes: inout ByteBuffer) -> [NodeID]? {
        guard let count = bytes.readInteger(as: UInt16.self), count <= maximumCount,
            bytes.readableBytes >= 4 * Int(count)
        else { return nil }
        var nodes: [NodeID] = []
        nodes.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let value = bytes.readInteger(as: UInt32.self), let number = Int32(exactly: value) else { return nil }
            if let last = nodes.last, number <= last.rawValue { return nil }
            nodes.append(NodeID(number))
        }
        return nodes
    }
}

/// What a log's own markers say of who belongs to its group.
struct LoggedMembership {
    /// `nil` where no marker before the log's start has said it: then it is the founders.
    var atStart: RaftMembers?
    var changes: [MembersEntry] = []

    /// - Returns: `nil` when a marker cannot be read.
    init?<Files>(of log: PartitionLog<Files>) {
        if let bytes = log.membershipAtStart {
            guard let members = MembershipPayload.decode(ByteBuffer(bytes: bytes)) else { return nil }
            atStart = members
        }
        for marker in log.membershipMarkers {
            guard let members = MembershipPayload.decode(ByteBuffer(bytes: marker.payload)) else { return nil }
            changes.append(MembersEntry(slot: marker.slot, members: members))
        }
    }
}
