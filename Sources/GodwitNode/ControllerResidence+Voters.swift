// SPDX-License-Identifier: Apache-2.0

import Broker
import LogModel
import Logging
import MetadataCore
import RaftCore
import Replication
import Settings

/// What a node remembers in order to decide, when it leads the metadata group, who is to vote in it.
struct VoterKeeping {
    let plan: VoterPlan
    private let begun: Moment
    private var contacts: [NodeID: VoterPlan.Contact] = [:]
    /// When the next look is due.
    var nextLook: Moment
    /// What the log was told last.
    var told: VoterPlan.Step?
    /// A node is being taken out of the cluster.
    var isRemoving = false

    init(_ settings: ClusterSettings, begun: Moment) {
        let count: Int? =
            switch settings.metadataVoters {
            case .auto: nil
            case .three: 3
            case .five: 5
            }
        plan = VoterPlan(count: count, patience: settings.voterPatience.wholeNanoseconds)
        self.begun = begun
        nextLook = begun
    }

    /// How long it is from one look to the next.
    var interval: UInt64 { min(1_000_000_000, max(10_000_000, plan.settling / 2)) }

    mutating func note(connected peers: [NodeID], now: Moment) {
        for peer in peers {
            if case .connected = contacts[peer] { continue }
            contacts[peer] = .connected(since: now)
        }
        for (peer, contact) in contacts {
            guard case .connected = contact, !peers.contains(peer) else { continue }
            contacts[peer] = .gone(since: now)
        }
    }

    func contact(of node: NodeID, own: NodeID) -> VoterPlan.Contact {
        node == own ? .connected(since: begun) : contacts[node] ?? .gone(since: begun)
    }
}

extension ControllerResidence {
    /// Whoever leads the metadata group decides who belongs to it; the others have no wish of their own, so that a new
    /// leader goes on from what is in force and not from what was wanted once.
    func metadataLeadershipMoved(isLeader: Bool) {
        voters.nextLook = now
        voters.isRemoving = false
        guard !isLeader, let replica = home.shard.replica(.metadata) else { return }
        wish(for: [], learners: [], of: replica)
    }

    /// While this node leads the metadata group: keeps its voters to healthy nodes, has all others follow, and takes
    /// out of the cluster whoever has been emptied.
    func keepVoters() {
        guard !isStopping, controller.isLeader, controller.state.clusterID != nil else { return }
        let now = now
        guard now >= voters.nextLook else { return home.environment.wake(at: voters.nextLook) }
        voters.nextLook = now.advanced(byNanoseconds: voters.interval)
        home.environment.wake(at: voters.nextLook)
        guard let replica = home.shard.replica(.metadata), replica.isInformed,
            let members = replica.membersCommitted, !members.voters.isEmpty
        else { return }
        let state = controller.state
        let wanted = wantedVoters(members.voters, state, now: now)
        let learners = state.nodes.map(\.id).filter { !wanted.contains($0) }
        // The one who is to lead first, so that leadership does not go back to a node that is being drained.
        let order = wanted.filter { !state.isDraining($0) } + wanted.filter { state.isDraining($0) }
        wish(for: order, learners: learners, of: replica)
        removeEmptied(state, members)
    }

    private func wish(for voters: [NodeID], learners: [NodeID], of replica: Replica<Environment>) {
        var assignment = replica.assignment
        assignment.replicas = voters
        assignment.learners = learners
        if replica.assignment.keepsOtherwise(than: assignment) { replica.adopt(assignment) }
    }

    private func wantedVoters(_ present: [NodeID], _ state: ClusterState, now: Moment) -> [NodeID] {
        let own = settings.node.id
        let registered = state.nodes.map(\.id)
        let racks = Dictionary(state.nodes.map { ($0.id, $0.rack) }) { $1 }
        let wishes = Dictionary(state.voterWishes.map { ($0.id, $0.wish) }) { $1 }
        let candidates = Set(registered + present).sorted().map { id in
            VoterPlan.Candidate(
                id: id, rack: racks[id] ?? nil, isRegistered: racks[id] != nil, isDraining: state.isDraining(id),
                wish: wishes[id], contact: voters.contact(of: id, own: own))
        }
        guard let step = voters.plan.next(present: present, leader: own, nodes: candidates, now: now) else {
            voters.told = nil
            return present
        }
        guard voters.told != step else { return step.voters }
        voters.told = step
        logger.notice(
            "the metadata gets other voters",
            metadata: [
                "from": "\(present.map(\.rawValue))", "to": "\(step.voters.map(\.rawValue))",
                "reason": "\(step.reason)",
            ])
        return step.voters
    }

    /// A node that is being drained leaves once it keeps no partition and has no vote.
    private func removeEmptied(_ state: ClusterState, _ members: RaftMembers) {
        guard !voters.isRemoving else { return }
        let emptied = state.drainingNodes.first { node in
            !members.voters.contains(node) && node != settings.node.id && state.partitions(on: node).isEmpty
        }
        guard let emptied else { return }
        voters.isRemoving = true
        logger.notice("a drained node leaves the cluster", metadata: ["node": "\(emptied.rawValue)"])
        controller.propose(.removeNode(emptied)) { [unowned self] _ in voters.isRemoving = false }
    }
}
