// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore

/// What the log keeps of a classic group: its last complete generation.
extension ClassicGroup {
    mutating func store(_ event: GroupEvent, into effects: inout GroupEffects) {
        isStored = true
        effects.append(.groupMetadata(id, metadataValue))
    }

    /// A generation as a record. What goes on in a rebalance is not stored: it is begun anew elsewhere.
    var metadataValue: GroupMetadataValue {
        var value = GroupMetadataValue()
        value.protocolType = protocolType ?? ""
        value.generation = generation
        value.protocolName = protocolName
        value.leader = leader
        value.stateTimestamp = stateTimestamp?.milliseconds ?? -1
        value.members = rankedMembers.map { member in
            GroupMetadataValue.Member(
                memberID: member.id, groupInstanceID: member.groupInstanceID, clientID: member.clientID,
                clientHost: member.clientHost, rebalanceTimeout: member.rebalanceTimeout,
                sessionTimeout: member.sessionTimeout, subscription: member.metadata(for: protocolName) ?? ByteBuffer(),
                assignment: member.assignment)
        }
        return value
    }

    /// A group as its record has it. Of two members with one id, or one instance id, the later is left out.
    init(id: String, restoring value: GroupMetadataValue) {
        self.init(id: id)
        isStored = true
        generation = value.generation
        protocolType = value.protocolType.isEmpty ? nil : value.protocolType
        stateTimestamp = value.stateTimestamp < 0 ? nil : Timestamp(milliseconds: value.stateTimestamp)
        for stored in value.members {
            guard members[stored.memberID] == nil, !stored.memberID.isEmpty,
                stored.groupInstanceID.map({ staticMembers[$0] == nil }) ?? true
            else { continue }
            var member = ClassicMember(
                id: stored.memberID, groupInstanceID: stored.groupInstanceID, clientID: stored.clientID,
                clientHost: stored.clientHost,
                rebalanceTimeout: stored.rebalanceTimeout < 0 ? stored.sessionTimeout : stored.rebalanceTimeout,
                sessionTimeout: max(0, stored.sessionTimeout),
                protocols: [.init(name: value.protocolName ?? "", metadata: stored.subscription)], rank: nextRank)
            member.assignment = stored.assignment
            member.isNew = false
            nextRank += 1
            add(member, protocolType: value.protocolType)
        }
        protocolName = members.isEmpty ? nil : value.protocolName ?? ""
        if let stored = value.leader, members[stored] != nil { leader = stored }
        state = members.isEmpty ? .empty : .stable
    }
}
