// SPDX-License-Identifier: Apache-2.0

package import Broker
package import LogModel
package import Logging
package import MetadataCore
package import NIOCore
package import PeerWire
import Replication
package import Settings
import Transport

/// Where the controller lives on a node: on shard 0's loop, between the metadata group and everything it decides about.
///
/// It forms the cluster and registers this node, carries admin requests to whoever leads the metadata group, and hands
/// each new state to all loops: to the brokers as their view, to the shards as the partitions they keep.
package final class ControllerResidence<Environment: CellEnvironment> {
    package let controller: Controller<Environment>
    /// What this node says about itself; set once it listens.
    private(set) var registration: NodeRegistration?
    private(set) var listener: (any PeerDoor)?
    /// A node that is being stopped begins nothing any more.
    var isStopping = false

    let cells: [NIOLoopBound<NodeCell<Environment>>]
    private let hosting: Hosting
    let settings: NodeSettings
    let directory: any NodeMemory
    let logger: Logger
    let home: NodeCell<Environment>

    private var publishScheduled = false
    private var deletedTopics: [Topic] = []
    /// How far this node is with making itself known.
    var joining: JoinProgress
    /// Since when this node is connected to each other one, or not, and whom the metadata group is to consist of.
    var voters: VoterKeeping
    /// Told once when the node is to end, and why: it was removed from the cluster.
    private var hearsFarewell: ((String) -> Void)?
    private var farewell: String?
    private lazy var producerIDs = ProducerIDDesk(node: settings.node.id, random: random) { [unowned self] in
        submit($0, done: $1)
    }
    private var waiting: [WaitingRequest] = []
    var random: any RandomNumberGenerator
    /// Voters that have said they belong to no cluster yet, and whether anybody belongs to one.
    private var clusterless: Set<NodeID> = []
    private var clusterExists = false
    private let started: Moment
    private var hasSwept = false
    var contact = Contact()

    /// An admin request that looks for the controller.
    private struct WaitingRequest {
        let frame: ByteBuffer
        let deadline: Moment
        let reply: (ByteBuffer?) -> Void
    }

    /// How long an admin request looks for a controller: an election and a little more.
    private static var searchTime: UInt64 { 5_000_000_000 }
    static var forwardTimeout: TimeAmount { .seconds(10) }
    /// How many admin requests may look for a controller at a time; more are told that there is none.
    private static var waitingLimit: Int { 1_000 }

    /// - Parameter random: what ids and the order of placements are drawn from.
    package init(
        controller: Controller<Environment>, cells: [NIOLoopBound<NodeCell<Environment>>], home: NodeCell<Environment>,
        hosting: Hosting, settings: NodeSettings, directory: any NodeMemory,
        random: any RandomNumberGenerator = SystemRandomNumberGenerator(), logger: Logger
    ) {
        self.controller = controller
        self.cells = cells
        self.home = home
        self.hosting = hosting
        self.settings = settings
        self.directory = directory
        self.random = random
        self.logger = logger
        started = home.environment.now
        joining = JoinProgress(begun: started)
        voters = VoterKeeping(settings.cluster, begun: started)
        controller.leadershipMoved = { [unowned self] in metadataLeadershipMoved(isLeader: $0) }
        controller.producerIDsAllocated = { [unowned self] in producerIDs.allocated($0, for: $1) }
    }

    var now: Moment { home.environment.now }

    func tick() {
        retryWaiting()
        producerIDs.tick(now: now)
        if !isStopping { controller.pace(usable: usableNodes, perNode: Self.movesPerNode) }
        sweepOnce()
        introduceNode()
        if !clusterExists { considerNewCluster() }
        keepVoters()
        watchContact()
    }

    /// Whether something waits that no message will announce.
    var isImpatient: Bool {
        guard !isStopping else { return false }
        return joining.wantsTick(now) || !waiting.isEmpty || producerIDs.isImpatient
            || (home.shard.replica(.metadata)?.isRebuilding ?? true)
    }

    // MARK: - Publishing

    /// The state has changed. A burst of changes is published once.
    package func stateChanged(deleted: Topic?) {
        if let deleted { deletedTopics.append(deleted) }
        guard !publishScheduled else { return }
        publishScheduled = true
        let bound = NIOLoopBound(self, eventLoop: home.loop)
        home.loop.execute { bound.value.publish() }
    }

    private func publish() {
        publishScheduled = false
        let state = controller.state
        rememberCluster(state)
        let deleted = deletedTopics
        deletedTopics = []
        let hosting = hosting
        for cell in cells {
            cell.eventLoop.execute {
                let cell = cell.value
                cell.broker.update { $0.replace(cluster: state) }
                hosting.reconcile(cell, with: state, deleted: deleted)
            }
        }
        spreadPeers()
        endIfRemoved(state)
        keepVoters()
    }

    static func voterEndpoints(_ settings: NodeSettings) -> [NodeID: PeerEndpoint] {
        var endpoints: [NodeID: PeerEndpoint] = [:]
        for voter in settings.voters where voter.id != settings.node.id {
            endpoints[voter.id] = PeerEndpoint(host: voter.address.host, port: Int(voter.address.port))
        }
        return endpoints
    }

    private func rememberCluster(_ state: ClusterState) {
        guard let id = state.clusterID, directory.identity.cluster == nil else { return }
        let cluster = TopicID(high: id.high, low: id.low)
        do throws(DataDirectory.Failure) {
            try directory.update { $0.cluster = cluster }
        } catch {
            logger.error("the cluster's id could not be stored", metadata: ["reason": "\(error)"])
            return
        }
        logger.notice("joined cluster", metadata: ["cluster": "\(id)"])
        belong(to: cluster)
    }

    /// Has `hear` told that the node is to end, which may have been said already.
    package func onFarewell(_ hear: @escaping (String) -> Void) {
        hearsFarewell = hear
        if let farewell { hear(farewell) }
    }

    /// Whether the cluster has removed this node.
    var isDismissed: Bool { farewell != nil }

    func sayFarewell(_ reason: String) {
        guard farewell == nil else { return }
        farewell = reason
        hearsFarewell?(reason)
    }

    /// This node's connections have changed: who is reachable counts as alive.
    package func connectionsChanged() {
        let alive = ([settings.node.id] + home.links.connectedPeers).sorted()
        for cell in cells {
            cell.eventLoop.execute { cell.value.broker.update { $0.replace(alive: alive) } }
        }
        voters.note(connected: home.links.connectedPeers, now: now)
        listener?.setRoster(roster)
    }

    // MARK: - Forming the cluster

    /// What a peer says of itself when it connects.
    package func heard(_ hello: Hello) {
        if hello.cluster == nil { clusterless.insert(hello.node) } else { clusterExists = true }
    }

    /// How long voters that have not been heard of are waited for before a majority forms the cluster without them.
    private static var formationPatience: UInt64 { 5_000_000_000 }

    /// A node without metadata may be new or may have lost its disk, and in a cluster that exists it must not vote
    /// before it has caught up. It is new for certain when no voter belongs to a cluster. A majority is believed after
    /// a while: only the loss of a disk and a voter that was never there, both at once, could make that wrong.
    private func considerNewCluster() {
        // A node that belonged to a cluster once has nothing to form, whatever it has lost.
        guard directory.identity.cluster == nil, founders.contains(settings.node.id) else { return }
        guard let replica = home.shard.replica(.metadata), replica.isRebuilding else { return }
        let others = founders.filter { $0 != settings.node.id }
        let heard = others.count { clusterless.contains($0) }
        let isMajority = 2 * (heard + 1) > founders.count
        let hasWaited = now.nanoseconds(since: started) >= Self.formationPatience
        guard heard == others.count || (isMajority && hasWaited) else { return }
        clusterExists = true
        replica.endRebuilding()
    }

    /// The node listens: from here on it tells the cluster about itself.
    package func introduce(_ registration: NodeRegistration, listening listener: any PeerDoor) {
        self.registration = registration
        self.listener = listener
        listener.setIdentity(home.links.identity)
        listener.setRoster(roster)
    }

    /// Proposes a command to whoever leads the metadata group. False when nobody can be asked now; `done` is then not
    /// called.
    func submit(_ command: MetadataCommand, done: @escaping (_ isInForce: Bool) -> Void) -> Bool {
        if controller.isLeader {
            controller.propose(command) { result in
                if case .success = result { done(true) } else { done(false) }
            }
            return true
        }
        guard let leader = reachableLeader else { return false }
        home.links.forward(
            ControllerRequest.command(command).encoded(), to: leader, timeout: Self.forwardTimeout
        ) { outcome in
            if case .success(let answer) = outcome { done(answer.readableBytes > 0) } else { done(false) }
        }
        return true
    }

    // MARK: - Producer ids

    /// A producer id for a client of this node.
    func producerID(reply: @escaping (Int64?) -> Void) {
        guard !isStopping else { return reply(nil) }
        producerIDs.producerID(now: now, reply: reply)
        if producerIDs.isImpatient { home.environment.wake(at: now.advanced(byNanoseconds: 10_000_000)) }
    }

    var reachableLeader: NodeID? {
        guard let leader = controller.leader, leader != settings.node.id, home.links.isConnected(leader) else {
            return nil
        }
        return leader
    }

    // MARK: - Admin requests

    /// Has the controller, wherever it is, answer an admin request of a client of this node.
    func administer(_ frame: ByteBuffer, reply: @escaping (ByteBuffer?) -> Void) {
        attempt(
            WaitingRequest(frame: frame, deadline: now.advanced(byNanoseconds: Self.searchTime), reply: reply))
    }

    private func attempt(_ request: WaitingRequest) {
        if controller.isLeader {
            controller.answer(request.frame, in: planningContext) { answer in
                if let answer { request.reply(answer) } else { self.wait(request) }
            }
        } else if let leader = reachableLeader {
            home.links.forward(
                ControllerRequest.kafka(request.frame).encoded(), to: leader, timeout: Self.forwardTimeout
            ) { outcome in
                switch outcome {
                case .success(let answer) where answer.readableBytes > 0: request.reply(answer)
                case .success, .failure(.notConnected), .failure(.overloaded), .failure(.refused): self.wait(request)
                // It may have been carried out: only the client can know whether to ask again.
                case .failure(.connectionLost), .failure(.timedOut), .failure(.tooLarge): request.reply(nil)
                }
            }
        } else {
            wait(request)
        }
    }

    private func wait(_ request: WaitingRequest) {
        guard !isStopping, waiting.count < Self.waitingLimit, now < request.deadline else { return request.reply(nil) }
        waiting.append(request)
        home.environment.wake(at: now.advanced(byNanoseconds: 10_000_000))
    }

    private func retryWaiting() {
        guard !waiting.isEmpty, controller.isLeader || reachableLeader != nil || isOverdue else { return }
        let again = waiting
        waiting = []
        for request in again { attempt(request) }
    }

    private var isOverdue: Bool { waiting.contains { $0.deadline <= now } }

    /// In how many moves one node takes part at a time: what it copies must not starve its clients.
    private static var movesPerNode: Int { 4 }

    private var usableNodes: [NodeID] { ([settings.node.id] + home.links.connectedPeers).sorted() }

    private var planningContext: PlanningContext {
        PlanningContext(
            settings: settings.topics, defaults: TopicDefaults(settings), usable: usableNodes,
            founders: settings.voters.map(\.id), seed: random.next())
    }

    // MARK: - Moves

    /// How long after the start it is looked for copies that should not be here: the state must be today's.
    private static var sweepDelay: UInt64 { 10_000_000_000 }

    private func sweepOnce() {
        guard !hasSwept, !isStopping, now.nanoseconds(since: started) >= Self.sweepDelay,
            home.shard.replica(.metadata)?.isInformed == true
        else { return }
        hasSwept = true
        let hosting = hosting
        for cell in cells { cell.eventLoop.execute { hosting.sweep(cell.value) } }
    }

    /// A move has come to its end: the controller shall know. What is not in force afterwards is told again.
    func conclude(_ partition: PartitionID, _ voters: [NodeID], done: @escaping () -> Void) {
        guard !isStopping, submit(.completeReassignment(partition, voters), done: { _ in done() }) else {
            return done()
        }
    }

    /// Has a partition's leader, wherever it is, hand over to another replica.
    func transferLeadership(of partition: PartitionID, from leader: NodeID, to heir: NodeID) {
        guard !isStopping else { return }
        guard leader != settings.node.id else { return handOver(partition, to: heir) }
        guard home.links.isConnected(leader) else { return }
        home.links.forward(
            ControllerRequest.transfer(partition, to: heir).encoded(), to: leader, timeout: Self.forwardTimeout
        ) { _ in }
    }

    private func handOver(_ partition: PartitionID, to heir: NodeID) {
        guard !cells.isEmpty else { return }
        let cell = cells[partition.shard(of: cells.count)]
        cell.eventLoop.execute { cell.value.shard.transferLeadership(of: partition, to: heir) }
    }

    /// Answers another node's request if this one leads the metadata group; empty bytes say that it does not.
    package func answer(forwarded bytes: ByteBuffer, reply: @escaping (ByteBuffer) -> Void) {
        guard let request = ControllerRequest(decoding: bytes) else { return reply(ByteBuffer()) }
        if case .transfer(let partition, let heir) = request {
            handOver(partition, to: heir)
            return reply(ByteBuffer(bytes: [1]))
        }
        guard controller.isLeader else { return reply(ByteBuffer()) }
        switch request {
        case .transfer: break
        case .kafka(let frame):
            controller.answer(frame, in: planningContext) { reply($0 ?? ByteBuffer()) }
        case .command(let command):
            controller.propose(command) { result in
                guard case .success = result else { return reply(ByteBuffer()) }
                reply(ByteBuffer(bytes: [1]))
            }
        case .join(let node):
            controller.admit(node, reachable: home.links.connectedPeers) { reply($0.encoded()) }
        }
    }
}

/// A broker's way to the controller of its node.
package final class ResidenceAccess<Environment: CellEnvironment>: ControllerAccess {
    let home: NIOLoopBound<NodeCell<Environment>>
    private let loop: any EventLoop

    package init(home: NIOLoopBound<NodeCell<Environment>>, from loop: any EventLoop) {
        self.home = home
        self.loop = loop
    }

    package func administer(_ frame: ByteBuffer, reply: @escaping (ByteBuffer?) -> Void) {
        let home = home
        let loop = loop
        let bound = NIOLoopBound(reply, eventLoop: loop)
        home.eventLoop.execute {
            guard let residence = home.value.residence else { return loop.execute { bound.value(nil) } }
            residence.administer(frame) { answer in loop.execute { bound.value(answer) } }
        }
    }

    package func producerID(reply: @escaping (Int64?) -> Void) {
        let home = home
        let loop = loop
        let bound = NIOLoopBound(reply, eventLoop: loop)
        home.eventLoop.execute {
            guard let residence = home.value.residence else { return loop.execute { bound.value(nil) } }
            residence.producerID { id in loop.execute { bound.value(id) } }
        }
    }

    package func transferLeadership(of partition: PartitionID, from leader: NodeID, to heir: NodeID) {
        let home = home
        home.eventLoop.execute { home.value.residence?.transferLeadership(of: partition, from: leader, to: heir) }
    }
}
