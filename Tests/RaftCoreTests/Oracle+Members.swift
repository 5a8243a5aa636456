// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore

/// What must hold of the members: C5 and C12, told from the logs alone and not from what the nodes believe.
extension Oracle {
    /// C12: a leader's change follows one that is committed, and an entry of its own term that is; and no decision by
    /// the one configuration can escape the other.
    mutating func membersChange(to changed: RaftMembers, by member: Member) {
        let name = "\(member.node.id) in term \(member.node.term)"
        let commit = member.node.commit
        if let last = member.log.last(where: { $0.members != nil }), last.end > commit {
            violations.append("\(name) changes the members while \(last) is uncommitted (C12)")
        }
        let ownTerm = member.log.contains { $0.term == member.node.term && $0.end <= commit }
        let ownStart = member.start.position.term == member.node.term
        if !ownTerm, !ownStart {
            violations.append("\(name) changes the members before its term has a commit (C12)")
        }
        let before = Self.inForce(member)
        if !Self.intersect(before, changed) {
            violations.append("\(name): quorums of \(before) and of \(changed) need not meet (C12)")
        }
    }

    /// C12: in force is what the newest entry of the own log says, from its append on, and no longer once it is cut.
    mutating func observeMembers(_ place: Int, _ members: [Member]) {
        let member = members[place]
        guard member.node.members != Self.inForce(member) else { return }
        violations.append("n\(place) believes in \(member.node.members), its log says \(Self.inForce(member)) (C12)")
    }

    static func inForce(_ member: Member) -> RaftMembers {
        member.log.last { $0.members != nil }?.members ?? member.membersAtStart ?? member.founders
    }

    /// Whether each quorum of the one shares a voter with each of the other.
    static func intersect(_ left: RaftMembers, _ right: RaftMembers) -> Bool {
        let all = RaftMembers(voters: left.electors + right.electors).voters
        for mask in 0..<(1 << all.count) {
            let some = all.indices.filter { mask & (1 << $0) != 0 }.map { all[$0] }
            let others = all.filter { !some.contains($0) }
            if left.isQuorum(some), right.isQuorum(others) { return false }
        }
        return true
    }

    /// C5: what is committed cannot be voted away: those who lack it and may vote are no quorum of any configuration
    /// that a candidate without it could stand by.
    mutating func checkQuorums(_ members: [Member]) {
        guard let last = committed.last else { return }
        let configuration = committed.last { $0.members != nil }?.members ?? founders(members)
        let lacking = members.filter { member in
            guard !member.isRebuilding else { return false }
            if member.start.position.end >= last.end { return false }
            return !member.log.contains { $0 == last && $0.end <= member.durable }
        }
        let ids = lacking.map(\.node.id)
        if configuration.isQuorum(ids) { violations.append("\(ids) lack \(last), by \(configuration) (C5)") }
    }

    private func founders(_ members: [Member]) -> RaftMembers {
        members.first { !$0.founders.voters.isEmpty }?.founders ?? .none
    }
}
