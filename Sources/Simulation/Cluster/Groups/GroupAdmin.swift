// SPDX-License-Identifier: Apache-2.0

import Broker
import GroupCore
import KafkaWire
import LogModel

/// Somebody with a command line: looks at a group's offsets, sets them, removes them, deletes the group.
final class GroupAdmin {
    private unowned let world: GroupWorld
    private let group: Int
    private let client: GroupClient

    init(in world: GroupWorld, group: Int) {
        self.world = world
        self.group = group
        client = GroupClient(name: "admin\(group)", nodes: world.cluster.nodeCount)
    }

    private var cluster: any GroupStage { world.cluster }

    func schedule() {
        cluster.schedule(after: 1 + cluster.random.span(mean: world.climate.adminInterval)) {
            guard !self.cluster.isCalm else { return }
            self.act()
            self.schedule()
        }
    }

    private func act() {
        switch cluster.random.below(12) {
        case 0, 1: setOffsets()
        case 2: removeOffset()
        case 3: deleteGroup()
        default: look()
        }
    }

    private func ask(_ request: GroupRequest, version: Int16, then: @escaping (GroupReply?) -> Void) {
        let place = cluster.likelyLeader(of: world.offsetsNumber(of: group))
        world.ask(request, version: version, of: group, from: client, at: place, epoch: -1) { outcome in
            guard case .answer(.reply(let reply)) = outcome else { return then(nil) }
            then(reply)
        }
    }

    /// Asks for all offsets.
    /// - Parameter then: told the committed offsets by partition; `nil` when they could not be had.
    func look(then: @escaping ([Int32: Int64]?) -> Void = { _ in }) {
        var request = OffsetFetchRequest.Group()
        request.groupID = world.name(of: group)
        var topic = OffsetFetchRequest.Topic()
        topic.name = GroupWorld.topicName
        topic.partitions = (0..<cluster.partitionCount).map(Int32.init)
        request.topics = [topic]
        ask(.offsetFetch(request, requireStable: true), version: 9) { reply in
            guard case .offsetFetch(let response)? = reply, response.error == .none else { return then(nil) }
            let answers = response.topics.flatMap(\.partitions).map { ($0.index, $0.committedOffset) }
            then(Dictionary(answers) { first, _ in first })
        }
    }

    private func setOffsets() {
        var request = OffsetCommitRequest()
        request.groupID = world.name(of: group)
        var topic = OffsetCommitRequest.Topic()
        topic.name = GroupWorld.topicName
        for number in 0..<world.visiblePartitions where cluster.random.coin() {
            var item = OffsetCommitRequest.Partition()
            item.index = Int32(number)
            let end = Int(cluster.committedOffset(of: number))
            item.committedOffset = Int64(cluster.random.within(0...end))
            item.committedMetadata = "w\(world.newWrite())"
            topic.partitions.append(item)
        }
        guard !topic.partitions.isEmpty else { return }
        request.topics = [topic]
        ask(.offsetCommit(request), version: 9) { _ in }
    }

    private func removeOffset() {
        var request = OffsetDeleteRequest()
        request.groupID = world.name(of: group)
        var topic = OffsetDeleteRequest.Topic()
        topic.name = GroupWorld.topicName
        var item = OffsetDeleteRequest.Partition()
        item.index = Int32(cluster.random.below(world.visiblePartitions))
        topic.partitions = [item]
        request.topics = [topic]
        ask(.offsetDelete(request), version: 0) { _ in }
    }

    private func deleteGroup() {
        ask(.deleteGroup(world.name(of: group)), version: 2) { _ in }
    }
}
