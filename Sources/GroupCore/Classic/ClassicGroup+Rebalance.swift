// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings

/// How a group gets from one generation to the next.
extension ClassicGroup {
    /// The shortest time between two looks at a rebalance, in milliseconds: members may ask for none at all.
    private static let patienceMin: Int32 = 10

    mutating func move(to state: ClassicGroupState, _ event: GroupEvent) {
        self.state = state
        stateTimestamp = event.wallClock
        stateSince = event.now
    }

    private mutating func begin(_ phase: Phase, for milliseconds: Int32, _ event: GroupEvent) {
        self.phase = phase
        phaseSince = event.now
        phaseDue = event.now.advanced(byMilliseconds: milliseconds)
    }

    private mutating func endPhase() {
        phase = nil
        phaseDue = nil
    }

    /// Somebody has joined: a rebalance begins, or the one that goes on may now be complete.
    mutating func rebalanceOrGoOn(_ event: GroupEvent, into effects: inout GroupEffects) {
        if state == .preparingRebalance {
            completeJoinPhaseIfReady(event, into: &effects)
        } else {
            prepareRebalance(event, into: &effects)
        }
    }

    /// Somebody has left or was removed.
    mutating func memberWentAway(_ event: GroupEvent, into effects: inout GroupEffects) {
        switch state {
        case .stable, .completingRebalance: prepareRebalance(event, into: &effects)
        case .preparingRebalance: completeJoinPhaseIfReady(event, into: &effects)
        case .empty: break
        }
    }

    mutating func prepareRebalance(_ event: GroupEvent, into effects: inout GroupEffects) {
        if state == .completingRebalance { abandonSync(error: .rebalanceInProgress, event, into: &effects) }
        pendingSync.removeAll()
        endPhase()
        let isInitial = state == .empty
        move(to: .preparingRebalance, event)
        if isInitial {
            let delay = Int32(clamping: event.settings.initialRebalanceDelay)
            hasNewMember = false
            begin(.initialDelay(delay: delay, remaining: max(rebalanceTimeout - delay, 0)), for: delay, event)
        } else if hasAllMembersJoined {
            completeJoinPhase(event, into: &effects)
        } else {
            begin(.joining, for: max(rebalanceTimeout, Self.patienceMin), event)
        }
    }

    /// The initial delay is not cut short: it is there for those that nobody knows of yet.
    mutating func completeJoinPhaseIfReady(_ event: GroupEvent, into effects: inout GroupEffects) {
        if case .initialDelay? = phase { return }
        if state == .preparingRebalance && hasAllMembersJoined { completeJoinPhase(event, into: &effects) }
    }

    /// Goes on with those that have joined. Static members that have not are kept until their sessions end.
    private mutating func completeJoinPhase(_ event: GroupEvent, into effects: inout GroupEffects) {
        endPhase()
        for member in rankedMembers where member.awaitingJoin == nil && member.groupInstanceID == nil {
            remove(member.id, error: .unknownMemberID, into: &effects)
        }
        guard members.isEmpty || electLeader() else {
            // Only static members are left and none has come: their sessions decide.
            return begin(.joining, for: max(rebalanceTimeout, Self.patienceMin), event)
        }
        generation = generation == .max ? 1 : generation + 1
        pendingSync.removeAll()
        guard !members.isEmpty else {
            protocolName = nil
            leader = nil
            move(to: .empty, event)
            return store(event, into: &effects)
        }
        protocolName = selectProtocol()
        move(to: .completingRebalance, event)
        for member in rankedMembers {
            completeJoin(of: member.id, with: joinResponse(for: member.id), into: &effects)
            renewSession(of: member.id, event)
            members[member.id]?.isNew = false
            pendingSync.insert(member.id)
        }
        begin(.syncing, for: max(rebalanceTimeout, Self.patienceMin), event)
    }

    // MARK: Time

    mutating func tick(_ event: GroupEvent, into effects: inout GroupEffects) {
        while let id = sessions.popDue(at: event.now) {
            if pendingMembers[id] != nil {
                removePending(id)
                completeJoinPhaseIfReady(event, into: &effects)
            } else if let member = members[id], !member.keepsSession {
                remove(id, error: .unknownMemberID, into: &effects)
                memberWentAway(event, into: &effects)
            }
        }
        guard let phase, let phaseDue, phaseDue <= event.now else { return }
        switch phase {
        case .initialDelay(let delay, let remaining): endInitialDelay(delay, remaining, event, into: &effects)
        case .joining: completeJoinPhase(event, into: &effects)
        case .syncing: expireSync(event, into: &effects)
        }
    }

    /// As long as members keep coming the delay is begun anew, up to the rebalance timeout in all (KIP-134).
    private mutating func endInitialDelay(
        _ delay: Int32, _ remaining: Int32, _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        guard hasNewMember, remaining > 0 else { return completeJoinPhase(event, into: &effects) }
        hasNewMember = false
        let next = min(Int32(clamping: event.settings.initialRebalanceDelay), remaining)
        let since = phaseSince
        begin(.initialDelay(delay: next, remaining: max(remaining - delay, 0)), for: next, event)
        phaseSince = since
    }

    private mutating func expireSync(_ event: GroupEvent, into effects: inout GroupEffects) {
        for id in pendingSync.sorted() { remove(id, error: .unknownMemberID, into: &effects) }
        prepareRebalance(event, into: &effects)
    }

    // MARK: After loading

    /// Takes up a group as the log has it: its members are given a whole session to be heard of again.
    mutating func resume(_ event: GroupEvent, into effects: inout GroupEffects) {
        for member in rankedMembers { renewSession(of: member.id, event) }
        if members.count > event.settings.sizeMax { prepareRebalance(event, into: &effects) }
    }
}

/// SyncGroup.
extension ClassicGroup {
    mutating func sync(
        _ request: SyncGroupRequest, _ call: GroupCall, _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        func refuse(_ error: ErrorCode) {
            effects.reply(call.id, .syncGroup(SyncGroupResponse(error: error)))
        }
        let error = check(memberID: request.memberID, groupInstanceID: request.groupInstanceID)
        guard error == .none else { return refuse(error) }
        guard request.generationID == generation else { return refuse(.illegalGeneration) }
        guard request.protocolType == nil || request.protocolType == protocolType,
            request.protocolName == nil || request.protocolName == protocolName
        else { return refuse(.inconsistentGroupProtocol) }
        switch state {
        case .empty: refuse(.unknownMemberID)
        case .preparingRebalance: refuse(.rebalanceInProgress)
        case .completingRebalance:
            if let older = members[request.memberID]?.awaitingSync {
                effects.reply(older.id, .syncGroup(SyncGroupResponse(error: .rebalanceInProgress)))
            }
            members[request.memberID]?.awaitingSync = .init(id: call.id, since: event.now)
            hasSynced(request.memberID)
            if leader == request.memberID { assign(request.assignments, event, into: &effects) }
        case .stable:
            hasSynced(request.memberID)
            renewSession(of: request.memberID, event)
            effects.reply(call.id, .syncGroup(syncResponse(for: request.memberID)))
        }
    }

    private mutating func hasSynced(_ id: String) {
        pendingSync.remove(id)
        if pendingSync.isEmpty { endPhase() }
    }

    /// The leader has shared out the work: everybody that waits for its part gets it.
    private mutating func assign(
        _ assignments: [SyncGroupRequest.Assignment], _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        let size = assignments.reduce(0) { $0 + $1.assignment.readableBytes }
        guard footprint + size <= Int(event.settings.metadataBytesMax.rawValue) else {
            // Kafka's answer where the group's record would be longer than a record may be.
            abandonSync(error: .unknownServerError, event, into: &effects)
            return prepareRebalance(event, into: &effects)
        }
        clearAssignments()
        for item in assignments {
            guard let old = members[item.memberID]?.assignment.readableBytes else { continue }
            footprint += item.assignment.readableBytes - old
            members[item.memberID]?.assignment = item.assignment.detached
        }
        move(to: .stable, event)
        store(event, into: &effects)
        for member in rankedMembers {
            guard let waiting = member.awaitingSync else { continue }
            members[member.id]?.awaitingSync = nil
            renewSession(of: member.id, event)
            effects.reply(waiting.id, .syncGroup(syncResponse(for: member.id)))
        }
    }

    private func syncResponse(for id: String) -> SyncGroupResponse {
        var response = SyncGroupResponse(error: .none)
        response.protocolType = protocolType
        response.protocolName = protocolName
        response.assignment = members[id]?.assignment ?? ByteBuffer()
        return response
    }

    /// Nobody gets anything in this generation.
    private mutating func abandonSync(error: ErrorCode, _ event: GroupEvent, into effects: inout GroupEffects) {
        clearAssignments()
        for member in rankedMembers {
            guard let waiting = member.awaitingSync else { continue }
            members[member.id]?.awaitingSync = nil
            renewSession(of: member.id, event)
            effects.reply(waiting.id, .syncGroup(SyncGroupResponse(error: error)))
        }
    }

    private mutating func clearAssignments() {
        for member in rankedMembers where member.assignment.readableBytes > 0 {
            footprint -= member.assignment.readableBytes
            members[member.id]?.assignment = ByteBuffer()
        }
    }
}
