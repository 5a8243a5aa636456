// SPDX-License-Identifier: Apache-2.0

public import LogModel
import LogStorage
import NIOCore
public import RaftCore

/// What a leader remembers of the way to the wanted members. Nothing depends on it but speed and reports.
struct MembershipDrive {
    /// Since when the members in force have not been the wanted ones.
    var since: Moment?
    /// What each learner that is to vote has to reach, and when that was set: see `Replica.isCaughtUp`.
    var rounds: [NodeID: Round] = [:]

    struct Round {
        var end: LogIndex
        var begun: Moment
        var isCaughtUp = false
    }
}

extension Replica {
    /// Who belongs to the group by the newest entry of this log that says so, committed or not.
    public var members: RaftMembers { raft.members }

    /// Who belongs to the group for certain: in force, known to be committed, and not about to change.
    public var membersCommitted: RaftMembers? {
        raft.membersAreCommitted && !raft.members.isJoint ? raft.members : nil
    }

    // MARK: - Driving

    /// How often a leader looks whether the next step can be made.
    static var driveInterval: UInt64 { 50_000_000 }

    /// Leader: makes the next step towards the wanted members, if one can be made now.
    ///
    /// - Complexity: O(members); O(1) while the members are the wanted ones.
    func driveMembers() {
        let isThere = raft.members.voters == wantedMembers.voters && raft.members.learners == wantedMembers.learners
        let isWritten = !assignment.founders.isEmpty || log.membershipAtStart != nil || !log.membershipMarkers.isEmpty
        if isThere, isWritten, !raft.members.isJoint, drive.since == nil { return }
        guard isLeader, !shard.isStopping, raft.hasCommittedInTerm else { return drive = MembershipDrive() }
        let now = shard.environment.now
        guard isWritten else {
            // Only the metadata has said so far who votes here, and it says so no longer once that changes.
            if raft.acceptsMembers, health.takesRecords { step(.changeMembers(raft.members.left)) }
            return
        }
        trackNewcomers(now: now)
        switch MembershipPlan.next(from: raft.members, to: wantedMembers, isCaughtUp: { hasCaughtUp($0) }) {
        case .done:
            if raft.membersAreCommitted { drive = MembershipDrive() }
        case .leaving, .catchUp:
            if drive.since == nil { drive.since = now }
        case .change(let next):
            if drive.since == nil { drive.since = now }
            if raft.acceptsMembers, health.takesRecords { step(.changeMembers(next)) }
        }
    }

    /// Rounds of catching up (dissertation §4.2.1): a newcomer that reaches what was the end when a round began within
    /// an election timeout will not keep the group waiting when it votes. Only what its disk holds counts.
    private func trackNewcomers(now: Moment) {
        let newcomers = wantedMembers.voters.filter { raft.members.learners.contains($0) }
        if !drive.rounds.isEmpty {
            for node in drive.rounds.keys.sorted() where !newcomers.contains(node) { drive.rounds[node] = nil }
        }
        for node in newcomers {
            guard let progress = raft.progress(of: node), progress.state == .replicating, !progress.isRebuilding,
                now.nanoseconds(since: progress.lastHeard) < shard.settings.timing.electionTimeout
            else {
                drive.rounds[node] = nil
                continue
            }
            var round = drive.rounds[node] ?? MembershipDrive.Round(end: log.end, begun: now)
            if progress.match >= round.end {
                let took = now.nanoseconds(since: round.begun)
                let isCaughtUp = took <= shard.settings.timing.electionTimeout
                round = MembershipDrive.Round(end: log.end, begun: now, isCaughtUp: isCaughtUp)
            }
            drive.rounds[node] = round
        }
    }

    private func hasCaughtUp(_ node: NodeID) -> Bool { drive.rounds[node]?.isCaughtUp ?? false }

    // MARK: - Being told

    /// The log has been asked to say who belongs to the group.
    func appendMembers(_ members: RaftMembers) {
        // Something that this event has caused may have ended the leadership that asked.
        guard isLeader, raft.pendingMembers == members else { return }
        append(.membership, payload: MembershipPayload.encode(members), members: members)
    }

    /// Members that are not joint are in force and committed.
    func membersSettled(_ members: RaftMembers) {
        shard.environment.report(.membersChanged(id, members))
        guard isLeader else { return }
        shard.environment.membersCommitted(id, members)
        driveMembers()
    }

    /// Leader: how far the group is on its way to the wanted members; `nil` when it is there, and elsewhere.
    public var move: MembershipMove? {
        guard isLeader else { return nil }
        let now = shard.environment.now
        let since = drive.since ?? now
        let members = raft.members
        if !members.isElector(shard.settings.node) {
            let heir = raft.transferTarget.map { "\($0)" } ?? "another replica"
            return MembershipMove(
                phase: raft.membersAreCommitted ? .handingOver : .leaving, newcomers: [], since: since,
                description: raft.membersAreCommitted
                    ? "leadership goes to \(heir)" : "a majority of \(members.voters) has yet to store that \(members)")
        }
        if members.isJoint {
            let halves = "a majority of \(members.voters) and one of \(members.outgoing)"
            return MembershipMove(
                phase: .joining, newcomers: newcomers(of: members.voters.filter { !members.outgoing.contains($0) }),
                since: since, description: "\(halves) have yet to store who votes")
        }
        switch MembershipPlan.next(from: members, to: wantedMembers, isCaughtUp: { hasCaughtUp($0) }) {
        case .done, .leaving:
            guard !raft.membersAreCommitted else { return nil }
            return MembershipMove(
                phase: .leaving, newcomers: [], since: since,
                description: "a majority of \(members.voters) has yet to store who votes")
        case .catchUp(let nodes):
            let newcomers = newcomers(of: nodes)
            return MembershipMove(
                phase: .catchingUp, newcomers: newcomers, since: since, description: Self.sentence(on: newcomers))
        case .change(let next):
            let joining = next.isJoint ? next.voters : next.learners
            return MembershipMove(
                phase: next.isJoint ? .joining : .catchingUp,
                newcomers: newcomers(of: joining.filter { !members.voters.contains($0) }), since: since,
                description: raft.acceptsMembers ? "it goes on at once" : "what was written before has yet to be stored"
            )
        }
    }

    private func newcomers(of nodes: [NodeID]) -> [MembershipMove.Newcomer] {
        let now = shard.environment.now
        return nodes.map { node in
            let progress = raft.progress(of: node)
            let isSilent =
                progress.map { now.nanoseconds(since: $0.lastHeard) >= shard.settings.timing.electionTimeout } ?? true
            return MembershipMove.Newcomer(
                node: node, match: progress?.match ?? .zero, end: log.end, isSilent: isSilent)
        }
    }

    private static func sentence(on newcomers: [MembershipMove.Newcomer]) -> String {
        newcomers.map { newcomer in
            newcomer.isSilent
                ? "\(newcomer.node) does not answer"
                : "\(newcomer.node) has stored \(newcomer.match) of \(newcomer.end) entries"
        }.joined(separator: ", ")
    }
}

extension Replica {
    /// Who should lead, of those who vote.
    public var preferredLeader: NodeID? { assignment.replicas.first { raft.members.voters.contains($0) } }
}
