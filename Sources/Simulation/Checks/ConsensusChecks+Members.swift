// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore

/// C12: who belongs to the group, told from the logs alone.
extension ConsensusChecks {
    /// What the newest entry of a replica's log says, committed or not.
    func inForce(at place: Int) -> RaftMembers { replicas[place].changes.last?.members ?? founders }

    /// The committed changes below `index`.
    func changes(before index: LogIndex) -> [LoggedEntry] {
        guard index > .zero else { return [] }
        return committed.filter { $0.members != nil && $0.end <= index }
    }

    mutating func checkMembers(_ view: ReplicaView) throws(Violation) {
        let place = Int(view.node.rawValue)
        if let members = view.members, members != inForce(at: place) {
            // Whoever was not there from the start knows nobody until its log says so, or what the metadata says of a
            // move that is over: the group itself has committed that.
            let isTold = !members.isJoint && committed.contains { $0.members == members }
            guard replicas[place].changes.isEmpty, members == .none || isTold else {
                throw Violation(
                    .memberDiscipline, "\(view.node) believes in \(members), its log says \(inForce(at: place))")
            }
        }
        guard !replicas[place].fresh.isEmpty else { return }
        let fresh = replicas[place].fresh
        replicas[place].fresh = []
        for change in fresh where view.role == .leader && change.entry.term == view.term {
            try check(change.entry, after: change.before, by: view)
        }
    }

    private func check(_ change: LoggedEntry, after before: LoggedEntry?, by view: ReplicaView) throws(Violation) {
        guard let members = change.members else { return }
        let who = "\(view.node) in term \(view.term)"
        if let before, before.end > view.commit {
            throw Violation(.memberDiscipline, "\(who) appends \(members) while \(before) is uncommitted")
        }
        guard let newest = committed.last(where: { $0.end <= view.commit }), newest.term == view.term else {
            throw Violation(.memberDiscipline, "\(who) appends \(members) before its term has a commit")
        }
        let old = before?.members ?? founders
        guard Self.quorumsMeet(old, members) else {
            throw Violation(.memberDiscipline, "\(who): quorums of \(old) and of \(members) need not meet")
        }
    }

    /// Whether each quorum of the one shares a voter with each of the other.
    static func quorumsMeet(_ left: RaftMembers, _ right: RaftMembers) -> Bool {
        let all = RaftMembers(voters: left.electors + right.electors).voters
        for mask in 0..<(1 << all.count) {
            let some = all.indices.filter { mask & (1 << $0) != 0 }.map { all[$0] }
            if left.isQuorum(some), right.isQuorum(all.filter { !some.contains($0) }) { return false }
        }
        return true
    }
}
