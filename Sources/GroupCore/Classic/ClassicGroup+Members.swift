// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore

/// Who is in the group: the tables that must agree with each other are changed here and nowhere else.
extension ClassicGroup {
    /// Kafka's `NO_ERROR` means that the request may speak for the member.
    func check(memberID: String, groupInstanceID: String?) -> ErrorCode {
        if let groupInstanceID {
            guard let current = staticMembers[groupInstanceID] else { return .unknownMemberID }
            guard current == memberID else { return .fencedInstanceID }
        }
        return members[memberID] == nil ? .unknownMemberID : .none
    }

    /// Whether somebody who knows these protocols can be part of the group.
    func supports(protocolType type: String, protocols: [JoinGroupRequest.JoinProtocol]) -> Bool {
        if state == .empty { return !type.isEmpty && !protocols.isEmpty }
        return protocolType == type && protocols.contains { protocolVotes[$0.name, default: 0] == members.count }
    }

    mutating func add(_ member: ClassicMember, protocolType type: String) {
        precondition(members[member.id] == nil, "a member joins a group once")
        if members.isEmpty { protocolType = type }
        if let instance = member.groupInstanceID {
            precondition(staticMembers[instance] == nil, "an instance id stands for one member")
            staticMembers[instance] = member.id
        }
        if leader == nil { leader = member.id }
        count(member.protocols, by: 1)
        footprint += member.footprint
        if member.awaitingJoin != nil { awaitingJoinCount += 1 }
        pendingMembers[member.id] = nil
        members[member.id] = member
    }

    /// Takes a member out, and answers what it still waits for with `error`.
    ///
    /// The group may be left without a leader; the next generation begins with electing one.
    mutating func remove(_ id: String, error: ErrorCode, into effects: inout GroupEffects) {
        guard var member = members.removeValue(forKey: id) else { return }
        refuseWaiting(&member, error: error, into: &effects)
        count(member.protocols, by: -1)
        footprint -= member.footprint
        if let instance = member.groupInstanceID { staticMembers[instance] = nil }
        if leader == id { leader = nil }
        pendingSync.remove(id)
        sessions.remove(id)
    }

    mutating func removePending(_ id: String) {
        pendingMembers[id] = nil
        sessions.remove(id)
    }

    /// What a member says of itself when it joins again.
    mutating func update(
        _ id: String, from request: JoinGroupRequest, call: GroupCall, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) {
        guard var member = members.removeValue(forKey: id) else { return }
        let protocols = request.stored
        count(member.protocols, by: -1)
        count(protocols, by: 1)
        footprint += ClassicMember.footprint(of: protocols) - ClassicMember.footprint(of: member.protocols)
        member.protocols = protocols
        member.rebalanceTimeout = request.patience(in: call.version)
        member.sessionTimeout = request.sessionTimeout
        if let older = member.awaitingJoin {
            effects.reply(older.id, .joinGroup(JoinGroupResponse(error: .rebalanceInProgress, memberID: id)))
        } else {
            awaitingJoinCount += 1
        }
        member.awaitingJoin = .init(id: call.id, since: event.now)
        members[id] = member
    }

    /// Gives the place of a static member to the process that now speaks for it (KIP-345).
    mutating func replaceStatic(_ oldID: String, with newID: String, call: GroupCall, into effects: inout GroupEffects)
    {
        guard var old = members.removeValue(forKey: oldID), let instance = old.groupInstanceID else {
            preconditionFailure("an instance id stands for a static member")
        }
        refuseWaiting(&old, error: .fencedInstanceID, into: &effects)
        sessions.remove(oldID)
        var new = ClassicMember(
            id: newID, groupInstanceID: instance, clientID: call.clientID, clientHost: call.clientHost,
            rebalanceTimeout: old.rebalanceTimeout, sessionTimeout: old.sessionTimeout, protocols: old.protocols,
            rank: old.rank)
        new.assignment = old.assignment
        new.isNew = old.isNew
        members[newID] = new
        staticMembers[instance] = newID
        if leader == oldID { leader = newID }
        if pendingSync.remove(oldID) != nil { pendingSync.insert(newID) }
    }

    /// Keeps the leader when it has joined, else takes the member that has been here longest of those that have.
    ///
    /// - Returns: whether there is one.
    mutating func electLeader() -> Bool {
        if let leader, members[leader]?.awaitingJoin != nil { return true }
        guard let next = rankedMembers.first(where: { $0.awaitingJoin != nil }) else { return false }
        leader = next.id
        return true
    }

    /// The protocol that all members know and most like best. Of those that tie, the one first voted for.
    func selectProtocol() -> String {
        var votes: [(name: String, count: Int)] = []
        for member in rankedMembers {
            let best = member.protocols.first { protocolVotes[$0.name] == members.count }
            guard let name = best?.name else {
                preconditionFailure("who has no protocol in common with the group is not let in")
            }
            if let place = votes.firstIndex(where: { $0.name == name }) {
                votes[place].count += 1
            } else {
                votes.append((name, 1))
            }
        }
        guard let most = votes.map(\.count).max(), let winner = votes.first(where: { $0.count == most }) else {
            preconditionFailure("only members vote")
        }
        return winner.name
    }

    /// Tells a member that waits for the reply to its join.
    mutating func completeJoin(of id: String, with response: JoinGroupResponse, into effects: inout GroupEffects) {
        guard let waiting = members[id]?.awaitingJoin else { return }
        members[id]?.awaitingJoin = nil
        awaitingJoinCount -= 1
        effects.reply(waiting.id, .joinGroup(response))
    }

    /// Counts a session anew.
    mutating func renewSession(of id: String, milliseconds: Int32? = nil, _ event: GroupEvent) {
        guard let timeout = milliseconds ?? members[id]?.sessionTimeout else { return }
        sessions.set(id, to: event.now.advanced(byMilliseconds: timeout))
    }

    private mutating func refuseWaiting(
        _ member: inout ClassicMember, error: ErrorCode, into effects: inout GroupEffects
    ) {
        if let waiting = member.awaitingJoin {
            member.awaitingJoin = nil
            awaitingJoinCount -= 1
            let memberID = error == .fencedInstanceID ? member.id : ""
            effects.reply(waiting.id, .joinGroup(JoinGroupResponse(error: error, memberID: memberID)))
        }
        if let waiting = member.awaitingSync {
            member.awaitingSync = nil
            effects.reply(waiting.id, .syncGroup(SyncGroupResponse(error: error)))
        }
    }

    private mutating func count(_ protocols: [ClassicMember.SupportedProtocol], by step: Int) {
        for name in Set(protocols.map(\.name)) {
            let votes = protocolVotes[name, default: 0] + step
            protocolVotes[name] = votes == 0 ? nil : votes
        }
    }
}

extension JoinGroupRequest {
    /// The protocols in storage of their own: a request's frame does not outlive it.
    var stored: [ClassicMember.SupportedProtocol] {
        protocols.map { .init(name: $0.name, metadata: $0.metadata.detached) }
    }

    /// How long a rebalance waits for the member, in milliseconds. v0 has the session timeout for it.
    func patience(in version: Int16) -> Int32 { version == 0 ? sessionTimeout : max(0, rebalanceTimeout) }
}

extension JoinGroupResponse {
    init(error: ErrorCode, memberID: String) {
        self.init()
        self.error = error
        self.memberID = memberID
    }
}

extension SyncGroupResponse {
    init(error: ErrorCode) {
        self.init()
        self.error = error
    }
}
