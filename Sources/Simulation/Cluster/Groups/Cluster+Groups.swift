// SPDX-License-Identifier: Apache-2.0

import Broker
import GroupCore
import LogModel
import RecordBatches
import Replication

/// Coordinators on the nodes, and what happens to the members of groups.
extension Cluster {
    // MARK: - Nodes

    /// Gives a node that starts its coordinators.
    func startCoordinators(at place: Int) {
        guard let groups, let shard = nodes[place].shard else { return }
        nodes[place].groups = GroupCoordinators(on: shard, settings: groups.climate.settings)
        nodes[place].groups?.follow(topicsImage(partitions: groups.visiblePartitions))
    }

    private func topicsImage(partitions: Int) -> TopicsImage {
        TopicsImage([
            TopicsImage.Topic(
                id: topic, name: GroupWorld.topicName, partitionRacks: Array(repeating: [], count: partitions))
        ])
    }

    /// A node takes in who leads the partitions of `__consumer_offsets`, a moment after that has changed.
    func followCoordination(at place: Int) {
        guard let groups else { return }
        schedule(on: place, life: nodes[place].life, after: random.next() % 200_000) {
            self.nodes[place].groups?.follow(offsets: self.offsetsTopic, partitions: groups.climate.offsetsPartitions)
        }
    }

    /// The coordinators append what they have written before the logs are written out, as `Broker.endOfTurn` has it.
    func endTurn(of place: Int) {
        nodes[place].groups?.flush()
        nodes[place].shard?.endOfTurn()
    }

    func tick(_ place: Int) {
        nodes[place].shard?.tick()
        nodes[place].groups?.tick()
    }

    func nextTick(of place: Int, after now: Moment) -> Moment? {
        guard let shard = nodes[place].shard else { return nil }
        let next = shard.nextTick(after: now)
        return nodes[place].groups?.nextDeadline.map { min($0, next) } ?? next
    }

    // MARK: - Members

    func scheduleGroups() {
        guard let groups else { return }
        groups.begin()
        guard groups.climate.expands else { return }
        schedule(after: climate.storm / 2) { self.expandTopic(groups) }
    }

    private func expandTopic(_ groups: GroupWorld) {
        groups.visiblePartitions = climate.partitions
        say("the topic has \(climate.partitions) partitions")
        for place in nodes.indices where nodes[place].isUp {
            schedule(on: place, life: nodes[place].life, after: random.span(mean: 30_000_000)) {
                self.nodes[place].groups?.follow(self.topicsImage(partitions: self.climate.partitions))
            }
        }
    }

    func drainGroups() -> Bool { groups?.drain() ?? true }
}

extension Cluster: GroupStage {
    var electionTimeout: UInt64 { climate.electionTimeout }
    var nodeCount: Int { nodes.count }
    var partitionCount: Int { climate.partitions }
    var topicID: TopicID { topic }
    var mayKnowTopicsLate: Bool { false }

    func count(_ event: GroupEvent) { statistics.count(event) }

    func life(of place: Int) -> Int? { nodes[place].isUp ? nodes[place].life : nil }
    func isAwake(_ place: Int) -> Bool { nodes[place].isPausedUntil <= now }

    func leadingTerm(of number: Int, at place: Int) -> Term? {
        nodes[place].shard?.replica(partition(number)).flatMap { $0.isLeader ? $0.term : nil }
    }

    func term(of number: Int, at place: Int) -> Term? { nodes[place].shard?.replica(partition(number))?.term }

    func undisturbed(_ number: Int, at place: Int) -> UInt64? {
        guard isCalm, let since = leadsSince[number], leadingTerm(of: number, at: place) != nil else { return nil }
        let begin = max(since, calmSince)
        return now > begin ? now - begin : nil
    }

    func committedOffset(of number: Int) -> Int64 { consensus[number].committedOffset.rawValue }

    /// Any will do: nobody works it out from the name.
    func offsetsPartition(of group: Int, named name: String, among count: Int) -> Int32 { Int32(group % count) }

    func hand(_ exchange: Exchange, named group: String, answered: @escaping (GroupOutcome) -> Void) -> Bool {
        guard let groups, let coordinators = nodes[exchange.place].groups else { return false }
        coordinators.handle(
            exchange.request, partition: groups.offsetsPartition(of: exchange.group), version: exchange.version,
            clientID: exchange.client.name, clientHost: "/10.0.0.\(exchange.group + 1)", done: answered)
        return true
    }

    func read(_ number: Int, at place: Int, from next: Int64, limit: ByteCount) throws -> [EntryHead]? {
        guard let replica = nodes[place].shard?.replica(partition(number)), let end = replica.highWatermark,
            next < end.rawValue
        else { return nil }
        return try fetch(replica.log, from: Offset(next), upTo: end, limit: limit)
    }
}
