// SPDX-License-Identifier: Apache-2.0

import Broker
import LogModel
import Logging
import MetadataCore
package import NIOCore
package import PeerWire
import Replication
import Settings
import Transport

/// How far a node is with making itself known to its cluster.
struct JoinProgress {
    let begun: Moment
    var isAsking = false
    /// When it asks next.
    var nextAttempt: Moment
    /// How often it has asked: whose turn it is.
    var attempts = 0
    /// What the log was told last about whom, and when.
    var told: [String: (reason: String, at: Moment)] = [:]
    /// The nodes as the cluster has told them, for as long as this node does not know them by itself.
    var roster: [NodeRegistration] = []
    /// When this node last knew that it knew everything.
    var informedAt: Moment?
    var isKnown = false

    init(begun: Moment) {
        self.begun = begun
        nextAttempt = begun
    }

    func wantsTick(_ now: Moment) -> Bool { !isKnown && !isAsking && nextAttempt <= now }
}

extension ControllerResidence {
    /// Whom this node can ask.
    private enum Door {
        case here
        case peer(NodeID)
        case seed(PeerEndpoint)
    }

    /// For how long a node may know no controller before it asks others who they all are.
    private static var driftPatience: UInt64 { 2_000_000_000 }
    /// How soon it is asked again after one who could not answer, who refused, and who took this node in.
    private static var pauseAfterNoAnswer: UInt64 { 100_000_000 }
    private static var pauseAfterRefusal: UInt64 { 5_000_000_000 }
    private static var pauseAfterAdmission: UInt64 { 1_000_000_000 }
    /// How soon the log is told the same again.
    private static var silence: UInt64 { 30_000_000_000 }
    /// What goes wrong in the first moments is nothing to speak of: nodes start one after another.
    private static var grace: UInt64 { 3_000_000_000 }
    private static var seedPatience: TimeAmount { .seconds(3) }

    /// The nodes that formed the cluster. See `DataDirectory.Identity.founders`.
    var founders: [NodeID] { directory.identity.founders ?? settings.voters.map(\.id) }

    // MARK: - Making itself known

    /// Sees to it that the cluster knows this node as it is, and this node the others.
    func introduceNode() {
        guard !isStopping, !joining.isAsking, !isDismissed, let registration else { return }
        let now = now
        noteWhetherInformed(now)
        joining.isKnown = controller.state.node(registration.id) == registration && !isAdrift(now)
        guard !joining.isKnown, now >= joining.nextAttempt else {
            if !joining.isKnown { home.environment.wake(at: joining.nextAttempt) }
            return
        }
        joining.isAsking = true
        guard controller.state.clusterID != nil || !controller.isLeader else {
            return controller.propose(.formCluster(ClusterID(high: random.next(), low: random.next()))) { _ in
                self.joining.isAsking = false
            }
        }
        guard let door = nextDoor else { return heard(.later("there is nobody to ask yet"), from: "the others") }
        ask(door, registration)
    }

    private func noteWhetherInformed(_ now: Moment) {
        guard home.shard.replica(.metadata)?.isInformed ?? false else { return }
        joining.informedAt = now
        guard !joining.roster.isEmpty, controller.state.clusterID != nil else { return }
        joining.roster = []
        spreadPeers()
    }

    /// Whether this node has known no controller for a while: the one there is may be a node that it does not know yet.
    private func isAdrift(_ now: Moment) -> Bool {
        now.nanoseconds(since: joining.informedAt ?? joining.begun) >= Self.driftPatience
    }

    private var nextDoor: Door? {
        if controller.isLeader { return .here }
        if let leader = reachableLeader { return .peer(leader) }
        let doors =
            home.links.peersTakingRequests.map { Door.peer($0) }
            + settings.cluster.seeds.map { .seed(PeerEndpoint(host: $0.host, port: Int($0.port))) }
        guard !doors.isEmpty else { return nil }
        return doors[joining.attempts % doors.count]
    }

    private func ask(_ door: Door, _ registration: NodeRegistration) {
        joining.attempts += 1
        let request = ControllerRequest.join(registration).encoded()
        switch door {
        case .here:
            controller.admit(registration, reachable: home.links.connectedPeers) { self.heard($0, from: "this node") }
        case .peer(let peer):
            home.links.forward(request, to: peer, timeout: Self.forwardTimeout) { outcome in
                switch outcome {
                case .success(let bytes): self.heard(bytes, from: "node \(peer.rawValue)")
                case .failure(let failure): self.heard(.later("\(failure)"), from: "node \(peer.rawValue)")
                }
            }
        case .seed(let endpoint):
            home.links.ask(seed: endpoint, request, patience: Self.seedPatience) { outcome in
                switch outcome {
                case .success(let bytes): self.heard(bytes, from: "\(endpoint)")
                case .failure(.refused(let refusal, let hello)): self.heard(refusal, by: hello, at: endpoint)
                case .failure(let failure): self.heard(.later("it \(failure)"), from: "\(endpoint)")
                }
            }
        }
    }

    private func heard(_ refusal: HelloReply.Refusal, by hello: Hello, at endpoint: PeerEndpoint) {
        let number = settings.node.id.rawValue
        switch refusal {
        case .sameNode where hello.directory == directory.identity.directory:
            heard(.later("it is this node itself"), from: "\(endpoint)")
        case .sameNode, .otherDirectory:
            heard(
                .refused(
                    "there is a node \(number), which runs on another data directory: give this one another node.id, "
                        + "or remove the other first (godwit cluster decommission \(number))"), from: "\(endpoint)")
        default:
            heard(.refused("\(refusal)"), from: "\(endpoint)")
            if refusal == .removed { refused(refusal) }
        }
    }

    private func heard(_ bytes: ByteBuffer, from whom: String) {
        // A node that is no controller has nothing to say.
        heard(JoinAnswer(decoding: bytes) ?? .later("it is not the controller"), from: whom)
    }

    private func heard(_ answer: JoinAnswer, from whom: String) {
        joining.isAsking = false
        let now = now
        switch answer {
        case .admitted(let cluster, let nodes):
            joining.nextAttempt = now.advanced(byNanoseconds: Self.pauseAfterAdmission)
            joining.told = [:]
            guard !(home.shard.replica(.metadata)?.isInformed ?? false) || controller.state.clusterID == nil else {
                break
            }
            if joining.roster.isEmpty {
                logger.notice("taken in by the cluster", metadata: ["by": "\(whom)", "nodes": "\(nodes.count)"])
            }
            joining.roster = nodes
            belong(to: TopicID(high: cluster.high, low: cluster.low))
            spreadPeers()
        case .refused(let reason):
            joining.nextAttempt = now.advanced(byNanoseconds: Self.pauseAfterRefusal)
            tell(whom, reason, now) { logger.error("the cluster refuses this node", metadata: $0) }
        case .later(let reason):
            joining.nextAttempt = now.advanced(byNanoseconds: Self.pauseAfterNoAnswer)
            guard now.nanoseconds(since: joining.begun) >= Self.grace else { break }
            tell(whom, reason, now) { logger.notice("waiting to be known by the cluster", metadata: $0) }
        }
        home.environment.wake(at: joining.nextAttempt)
    }

    /// Says what is being waited for: at once when it is news, and else now and then.
    private func tell(_ whom: String, _ reason: String, _ now: Moment, _ say: (Logger.Metadata) -> Void) {
        if let last = joining.told[whom], last.reason == reason, now.nanoseconds(since: last.at) < Self.silence {
            return
        }
        joining.told[whom] = (reason, now)
        let seconds = now.nanoseconds(since: joining.begun) / 1_000_000_000
        say(["by": "\(whom)", "reason": "\(reason)", "since": "\(seconds) s ago"])
    }

    // MARK: - Who the others are

    /// This node belongs to `cluster` from now on, as far as its connections go.
    func belong(to cluster: TopicID) {
        var identity = home.links.identity
        guard identity.cluster != cluster else { return }
        identity.cluster = cluster
        listener?.setIdentity(identity)
        for cell in cells {
            cell.eventLoop.execute { [identity] in cell.value.links.identity = identity }
        }
    }

    private var knownNodes: [NodeRegistration] { joining.roster.isEmpty ? controller.state.nodes : joining.roster }

    /// Those that the configuration names, and that the cluster has said nothing about yet.
    private var configuredVoters: [Voter] {
        let state = controller.state
        let heardOf = Set(knownNodes.map(\.id) + state.removedNodes.map(\.id))
        return settings.voters.filter { !heardOf.contains($0.id) }
    }

    /// What the accepting side of connections is to know.
    var roster: PeerRoster {
        func id(_ directory: DirectoryID) -> TopicID { TopicID(high: directory.high, low: directory.low) }
        return PeerRoster(
            members: Dictionary(knownNodes.map { ($0.id, id($0.directory)) }) { $1 },
            founders: Set(configuredVoters.map(\.id)),
            removed: Set(controller.state.removedNodes.map { id($0.directory) }),
            reachable: Set(home.links.connectedPeers))
    }

    /// Makes all loops connect to the nodes there are, and to no others.
    func spreadPeers() {
        var endpoints: [NodeID: PeerEndpoint] = [:]
        for voter in configuredVoters {
            endpoints[voter.id] = PeerEndpoint(host: voter.address.host, port: Int(voter.address.port))
        }
        let roster = roster
        for node in knownNodes {
            endpoints[node.id] = PeerEndpoint(host: node.peer.host, port: Int(node.peer.port))
        }
        endpoints[settings.node.id] = nil
        listener?.setRoster(roster)
        for cell in cells {
            cell.eventLoop.execute { [endpoints] in
                cell.value.links.expect(roster.members)
                cell.value.links.setPeers(endpoints)
            }
        }
    }

    // MARK: - Guests

    /// Answers what one asks that the cluster does not know: it may want to be known, and nothing else.
    package func answer(guestRequest bytes: ByteBuffer, from guest: Hello, reply: @escaping (ByteBuffer?) -> Void) {
        guard !isStopping, case .join(let node)? = ControllerRequest(decoding: bytes), node.id == guest.node,
            TopicID(high: node.directory.high, low: node.directory.low) == guest.directory
        else { return reply(nil) }
        let own = "node \(settings.node.id.rawValue)"
        if controller.isLeader {
            return controller.admit(node, reachable: home.links.connectedPeers) { answer in
                self.noteAdmission(of: node, answer)
                reply(answer.encoded())
            }
        }
        guard let leader = reachableLeader else {
            return reply(JoinAnswer.later("\(own) knows of no controller").encoded())
        }
        let request = ControllerRequest.join(node).encoded()
        home.links.forward(request, to: leader, timeout: Self.forwardTimeout) { outcome in
            guard case .success(let bytes) = outcome, let answer = JoinAnswer(decoding: bytes) else {
                return reply(JoinAnswer.later("\(own) had no answer from the controller").encoded())
            }
            self.noteAdmission(of: node, answer)
            reply(bytes)
        }
    }

    private func noteAdmission(of node: NodeRegistration, _ answer: JoinAnswer) {
        let name = "node \(node.id.rawValue) at \(node.peer)"
        switch answer {
        case .admitted: logger.notice("took a node in", metadata: ["node": "\(name)"])
        case .refused(let reason):
            tell(name, reason, now) { logger.error("refused a node that wants to join", metadata: $0) }
        case .later: break
        }
    }

    // MARK: - The end

    /// A peer of this node's cluster does not admit it.
    package func refused(_ refusal: HelloReply.Refusal) {
        switch refusal {
        case .removed: sayFarewell()
        case .otherDirectory:
            tell("a peer", "\(refusal)", now) { logger.error("the cluster refuses this node", metadata: $0) }
        default: break
        }
    }

    func endIfRemoved(_ state: ClusterState) {
        let id = directory.identity.directory
        guard state.wasRemoved(settings.node.id, directory: DirectoryID(high: id.high, low: id.low)) else { return }
        sayFarewell()
    }

    private func sayFarewell() {
        sayFarewell(
            "node \(settings.node.id.rawValue) was removed from the cluster and ends; with an empty data directory it "
                + "can join again")
    }
}
