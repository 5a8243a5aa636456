// SPDX-License-Identifier: Apache-2.0

import Disk
public import GroupCore
public import KafkaWire
public import LogModel
import MetadataCore
import NIOCore
public import Replication
public import Settings

/// The group coordinators of one shard: one for each partition of `__consumer_offsets` that it leads.
public final class GroupCoordinators<Environment: ShardEnvironment> {
    private let shard: Shard<Environment>
    private let settings: GroupSettings
    /// By partition.
    private var hosted: [Int32: HostedCoordinator<Environment>] = [:]
    private var topics = TopicsImage([])
    private var topicsRevision = -1
    private var configs: [String: GroupConfigs] = [:]
    private var flushWanted: [HostedCoordinator<Environment>] = []

    public init(on shard: Shard<Environment>, settings: GroupSettings) {
        self.shard = shard
        self.settings = settings
    }

    /// Takes in who leads what and which topics there are.
    func follow(_ view: ClusterView) {
        guard let offsets = view.topic(named: GroupPlace.topic) else { return follow(offsets: .zero, partitions: 0) }
        if view.revision != topicsRevision {
            topicsRevision = view.revision
            follow(view.topicsImage)
            let configured = view.cluster.configuredGroups.map { ($0.name, $0.configs) }
            follow(Dictionary(configured, uniquingKeysWith: { first, _ in first }))
        }
        follow(offsets: offsets.id, partitions: offsets.partitions.count)
    }

    /// Makes coordinators for the partitions of `__consumer_offsets` that are led here now, and ends those of others.
    public func follow(offsets: TopicID, partitions: Int) {
        for index in hosted.keys.sorted() where hosted[index]?.isCurrent == false {
            hosted.removeValue(forKey: index)?.close()
        }
        for index in 0..<Int32(partitions) where hosted[index] == nil {
            guard let replica = shard.replica(PartitionID(topic: offsets, index: index)), replica.isLeader else {
                continue
            }
            host(replica, index: index)
        }
    }

    /// Takes in which topics there are.
    public func follow(_ image: TopicsImage) {
        guard image != topics else { return }
        topics = image
        for index in hosted.keys.sorted() { hosted[index]?.topicsChanged(image) }
    }

    /// Takes in the settings that groups have of their own.
    public func follow(_ configs: [String: GroupConfigs]) {
        self.configs = configs
        for index in hosted.keys.sorted() { hosted[index]?.configure(configs) }
    }

    private func host(_ replica: Replica<Environment>, index: Int32) {
        var core = GroupCoordinator(settings: settings, seed: seed(of: replica), topics: topics)
        core.configure(configs)
        let coordinator = HostedCoordinator(of: replica, on: shard, core: core) { [unowned self] in
            self.wantFlush(index)
        }
        hosted[index] = coordinator
        coordinator.start()
    }

    /// Member ids are drawn from it: no two coordinators, of this time or another, shall draw the same.
    private func seed(of replica: Replica<Environment>) -> UInt64 {
        let place =
            UInt64(UInt32(bitPattern: replica.id.index)) << 32 | UInt64(UInt32(bitPattern: replica.term.rawValue))
        let time = UInt64(bitPattern: shard.environment.wallClock.milliseconds) &* 0x9E37_79B9_7F4A_7C15
        return replica.id.topic.low ^ place ^ time ^ shard.environment.now.nanoseconds
    }

    // MARK: - Requests

    /// Has the coordinator of a partition of `__consumer_offsets` answer.
    /// - Parameter done: called once, on this loop, perhaps much later: a join waits for the whole group.
    public func handle(
        _ request: GroupRequest, partition: Int32, version: Int16, clientID: String, clientHost: String,
        done: @escaping (GroupOutcome) -> Void
    ) {
        guard let coordinator = hosted[partition] else { return done(.refused(.notCoordinator)) }
        guard coordinator.isCurrent else {
            coordinator.close()
            hosted[partition] = nil
            // An append can fail without a change of leaders, while leadership is being handed over in vain.
            if coordinator.replica.isLeader { host(coordinator.replica, index: partition) }
            return done(.refused(.notCoordinator))
        }
        coordinator.handle(request, version: version, clientID: clientID, clientHost: clientHost, done: done)
    }

    /// The groups coordinated here, and whether some are still being loaded.
    public func list() -> (groups: [ListGroupsResponse.Group], isLoading: Bool) {
        let current = hosted.keys.sorted().compactMap { hosted[$0] }.filter(\.isCurrent)
        return (current.filter(\.isActive).flatMap { $0.list() }, current.contains { !$0.isActive })
    }

    /// The same, of those only that are certain to be coordinated here still; `done` is called on this loop.
    func confirmedList(done: @escaping (_ groups: [ListGroupsResponse.Group], _ isLoading: Bool) -> Void) {
        let current = hosted.keys.sorted().compactMap { hosted[$0] }.filter(\.isCurrent)
        var groups: [ListGroupsResponse.Group] = []
        var outstanding = 1
        func ended() {
            outstanding -= 1
            if outstanding == 0 { done(groups, current.contains { !$0.isActive }) }
        }
        for coordinator in current where coordinator.isActive {
            outstanding += 1
            coordinator.replica.confirmLeadership { isLeader in
                if isLeader, coordinator.isActive { groups += coordinator.list() }
                ended()
            }
        }
        ended()
    }

    // MARK: - Time and turns

    public var nextDeadline: Moment? { hosted.values.lazy.compactMap(\.deadline).min() }

    public func tick() {
        for index in hosted.keys.sorted() { hosted[index]?.tick() }
    }

    private func wantFlush(_ index: Int32) {
        guard let coordinator = hosted[index] else { return }
        flushWanted.append(coordinator)
        shard.requestTurnEnd()
    }

    /// Appends what the coordinators have written in this turn. To be called before the shard ends its turn.
    public func flush() {
        guard !flushWanted.isEmpty else { return }
        let wanted = flushWanted
        flushWanted = []
        for coordinator in wanted { coordinator.flush() }
    }
}
