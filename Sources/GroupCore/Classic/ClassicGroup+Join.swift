// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings

/// JoinGroup. As in Kafka's GroupMetadataManager; KIP-62, KIP-345, KIP-394, KIP-814.
extension ClassicGroup {
    /// How long somebody who joins for the first time is waited for: it has no id yet to send heartbeats with.
    private static let newMemberPatience: Int32 = 300_000

    /// Since which version a member is to join twice, the second time with the id it is given (KIP-394).
    private static let joinsTwiceSince: Int16 = 4

    /// Since which version a static leader that comes back is told that nothing is to be assigned (KIP-814).
    private static let skipsAssignmentSince: Int16 = 9

    mutating func join(
        _ request: JoinGroupRequest, _ call: GroupCall, _ event: GroupEvent, _ random: inout GroupRandom,
        into effects: inout GroupEffects
    ) {
        func refuse(_ error: ErrorCode, memberID: String = request.memberID) {
            effects.reply(call.id, .joinGroup(JoinGroupResponse(error: error, memberID: memberID)))
        }
        guard accepts(request.memberID, sizeMax: event.settings.sizeMax) else {
            removePending(request.memberID)
            if members[request.memberID] != nil {
                remove(request.memberID, error: .groupMaxSizeReached, into: &effects)
                memberWentAway(event, into: &effects)
            }
            return refuse(.groupMaxSizeReached, memberID: "")
        }
        guard supports(protocolType: request.protocolType, protocols: request.protocols) else {
            return refuse(.inconsistentGroupProtocol)
        }
        let known = request.memberID.isEmpty ? request.groupInstanceID.flatMap { staticMembers[$0] } : request.memberID
        let held = known.flatMap { members[$0] }.map { ClassicMember.footprint(of: $0.protocols) } ?? 0
        guard footprint - held + request.footprint <= Int(event.settings.metadataBytesMax.rawValue) else {
            return refuse(.groupMaxSizeReached)
        }
        if request.memberID.isEmpty {
            joinAnew(request, call, event, &random, into: &effects)
        } else if pendingMembers[request.memberID] != nil {
            guard request.groupInstanceID == nil else { return refuse(.unknownMemberID) }
            addMember(request.memberID, request, call, event, into: &effects)
        } else {
            let error = check(memberID: request.memberID, groupInstanceID: request.groupInstanceID)
            guard error == .none else { return refuse(error) }
            joinAgain(request, call, event, into: &effects)
        }
    }

    /// Whether there is room. Members that wait are counted while a rebalance goes on, because those that do not
    /// come back are still in the group then.
    private func accepts(_ memberID: String, sizeMax: Int) -> Bool {
        if memberID.isEmpty && pendingMembers.count >= sizeMax { return false }
        switch state {
        case .empty: return true
        case .preparingRebalance: return members[memberID]?.awaitingJoin != nil || awaitingJoinCount < sizeMax
        case .completingRebalance, .stable: return members[memberID] != nil || members.count < sizeMax
        }
    }

    // MARK: Without an id

    private mutating func joinAnew(
        _ request: JoinGroupRequest, _ call: GroupCall, _ event: GroupEvent, _ random: inout GroupRandom,
        into effects: inout GroupEffects
    ) {
        let memberID = random.memberID(after: request.groupInstanceID ?? call.clientID)
        if let instance = request.groupInstanceID {
            if let current = staticMembers[instance] {
                takeOver(current, as: memberID, request, call, event, into: &effects)
            } else {
                addMember(memberID, request, call, event, into: &effects)
            }
        } else if call.version >= Self.joinsTwiceSince {
            pendingMembers[memberID] = event.now
            sessions.set(memberID, to: event.now.advanced(byMilliseconds: request.sessionTimeout))
            effects.reply(call.id, .joinGroup(JoinGroupResponse(error: .memberIDRequired, memberID: memberID)))
        } else {
            addMember(memberID, request, call, event, into: &effects)
        }
    }

    private mutating func addMember(
        _ memberID: String, _ request: JoinGroupRequest, _ call: GroupCall, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) {
        if case .initialDelay? = phase { hasNewMember = true }
        var member = ClassicMember(
            id: memberID, groupInstanceID: request.groupInstanceID, clientID: call.clientID,
            clientHost: call.clientHost, rebalanceTimeout: request.patience(in: call.version),
            sessionTimeout: request.sessionTimeout, protocols: request.stored, rank: nextRank)
        nextRank += 1
        member.awaitingJoin = .init(id: call.id, since: event.now)
        add(member, protocolType: request.protocolType)
        renewSession(of: memberID, milliseconds: Self.newMemberPatience, event)
        rebalanceOrGoOn(event, into: &effects)
    }

    private mutating func takeOver(
        _ oldID: String, as newID: String, _ request: JoinGroupRequest, _ call: GroupCall, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) {
        let formerLeader = leader
        replaceStatic(oldID, with: newID, call: call, into: &effects)
        update(newID, from: request, call: call, event, into: &effects)
        renewSession(of: newID, event)
        switch state {
        case .stable where selectProtocol() == protocolName:
            // Nothing changes for the others: the new process goes on with the old one's assignment.
            store(event, into: &effects)
            var response = joinResponse(for: newID)
            if call.version < Self.skipsAssignmentSince {
                // It could not be told to leave the assignment alone, so it is not told that it leads.
                response.leader = formerLeader ?? ""
                response.members = []
            } else {
                response.skipsAssignment = leader == newID
            }
            completeJoin(of: newID, with: response, into: &effects)
        case .stable:
            prepareRebalance(event, into: &effects)
        case .completingRebalance:
            // The leader may have been given the old id already, and would assign to it.
            prepareRebalance(event, into: &effects)
        case .preparingRebalance:
            completeJoinPhaseIfReady(event, into: &effects)
        case .empty:
            preconditionFailure("an empty group has no static members")
        }
    }

    // MARK: With an id

    private mutating func joinAgain(
        _ request: JoinGroupRequest, _ call: GroupCall, _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        let isUnchanged = request.matches(members[request.memberID]?.protocols)
        switch state {
        case .completingRebalance where isUnchanged, .stable where isUnchanged && leader != request.memberID:
            // The reply to its last join was lost, or it only wants to know where the group stands.
            renewSession(of: request.memberID, event)
            effects.reply(call.id, .joinGroup(joinResponse(for: request.memberID)))
        case .preparingRebalance, .completingRebalance, .stable:
            // A leader that joins again wants the work shared out anew, though it knows the same protocols.
            update(request.memberID, from: request, call: call, event, into: &effects)
            rebalanceOrGoOn(event, into: &effects)
        case .empty:
            preconditionFailure("an empty group has no members")
        }
    }

    /// How the generation looks to one member.
    func joinResponse(for memberID: String) -> JoinGroupResponse {
        var response = JoinGroupResponse(error: .none, memberID: memberID)
        response.generationID = generation
        response.protocolType = protocolType
        response.protocolName = protocolName
        response.leader = leader ?? ""
        if leader == memberID {
            response.members = rankedMembers.map { member in
                var item = JoinGroupResponse.Member()
                item.memberID = member.id
                item.groupInstanceID = member.groupInstanceID
                item.metadata = member.metadata(for: protocolName) ?? ByteBuffer()
                return item
            }
        }
        return response
    }
}

extension JoinGroupRequest {
    /// What a member that says this costs in memory, about.
    var footprint: Int { protocols.reduce(256) { $0 + 64 + $1.name.utf8.count + $1.metadata.readableBytes } }

    /// Whether these are the protocols that a member has named before.
    func matches(_ known: [ClassicMember.SupportedProtocol]?) -> Bool {
        known?.elementsEqual(protocols) { $0.name == $1.name && $0.metadata == $1.metadata } ?? false
    }
}
