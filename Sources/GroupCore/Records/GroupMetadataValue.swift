// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A classic group at the end of a rebalance. Kafka's `GroupMetadataValue`, versions 0 to 4; version 3 is written.
struct GroupMetadataValue: CoordinatorValue {
    static let versions: ClosedRange<Int16> = 0...4
    static let flexibleSince: Int16 = 4

    var protocolType = ""
    var generation: Int32 = 0
    var protocolName: String?
    var leader: String?
    /// When the group came into its state, in milliseconds since 1970; −1 when unknown.
    var stateTimestamp: Int64 = -1
    var members: [Member] = []

    /// One member and what the leader assigned to it.
    struct Member: Hashable, Sendable {
        var memberID = ""
        var groupInstanceID: String?
        var clientID = ""
        var clientHost = ""
        /// In milliseconds; −1 when unknown.
        var rebalanceTimeout: Int32 = -1
        /// In milliseconds.
        var sessionTimeout: Int32 = 0
        var subscription = ByteBuffer()
        var assignment = ByteBuffer()
    }

    init() {}

    var versionToWrite: Int16 { 3 }

    var sizeHint: Int {
        members.reduce(64) {
            $0 + 96 + $1.memberID.utf8.count + $1.subscription.readableBytes + $1.assignment.readableBytes
        }
    }

    init(from cursor: inout RecordCursor, version: Int16) throws(RecordCursor.Malformed) {
        protocolType = try cursor.string()
        generation = try cursor.int32()
        protocolName = try cursor.nullableString()
        leader = try cursor.nullableString()
        if version >= 2 { stateTimestamp = try cursor.int64() }
        members = try cursor.list { (cursor) throws(RecordCursor.Malformed) in
            var member = Member()
            member.memberID = try cursor.string()
            if version >= 3 { member.groupInstanceID = try cursor.nullableString() }
            member.clientID = try cursor.string()
            member.clientHost = try cursor.string()
            if version >= 1 { member.rebalanceTimeout = try cursor.int32() }
            member.sessionTimeout = try cursor.int32()
            member.subscription = try cursor.data()
            member.assignment = try cursor.data()
            try cursor.tags()
            return member
        }
        try cursor.tags()
    }

    func write(into builder: inout RecordBuilder) {
        builder.string(protocolType)
        builder.integer(generation)
        builder.string(protocolName)
        builder.string(leader)
        builder.integer(stateTimestamp)
        builder.list(members) { member, builder in
            builder.string(member.memberID)
            builder.string(member.groupInstanceID)
            builder.string(member.clientID)
            builder.string(member.clientHost)
            builder.integer(member.rebalanceTimeout)
            builder.integer(member.sessionTimeout)
            builder.data(member.subscription)
            builder.data(member.assignment)
        }
    }
}
