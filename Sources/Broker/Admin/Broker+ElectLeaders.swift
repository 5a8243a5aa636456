// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import MetadataCore
import Replication

/// An ElectLeaders that waits until the preferred leaders lead.
final class ElectionWait<Environment: ShardEnvironment> {
    /// One partition that is to be led by another node.
    struct Election {
        let topic: Int
        let place: Int
        let partition: PartitionID
        let preferred: NodeID
    }

    let deadline: Moment
    private let elections: [Election]
    private var response: ElectLeadersResponse
    private let broker: Broker<Environment>
    private let done: (ElectLeadersResponse) -> Void

    init(
        _ elections: [Election], response: ElectLeadersResponse, until deadline: Moment, broker: Broker<Environment>,
        done: @escaping (ElectLeadersResponse) -> Void
    ) {
        self.elections = elections
        self.response = response
        self.deadline = deadline
        self.broker = broker
        self.done = done
    }

    func isReady(in view: ClusterView) -> Bool {
        elections.allSatisfy { view.leader(of: $0.partition)?.node == $0.preferred }
    }

    func finish() {
        broker.waitingElections.removeAll { $0 === self }
        for election in elections where broker.view.leader(of: election.partition)?.node != election.preferred {
            response.topics[election.topic].partitions[election.place].error = .preferredLeaderNotAvailable
            response.topics[election.topic].partitions[election.place].errorMessage =
                "node \(election.preferred.rawValue) has not taken over in time; it may have to catch up first"
        }
        done(response)
    }
}

extension Broker {
    /// How long preferred leaders have to take over at most, in milliseconds, whatever the client asks for.
    private static var electionPatience: Int32 { 30_000 }

    /// ElectLeaders (API key 43). Any node answers: it asks those that lead to hand over, and looks whether they do.
    ///
    /// Nobody is ever elected who lacks what was acknowledged, so unclean elections are refused.
    func electLeaders(_ call: Call<Files>) throws(WireError) {
        let request = try ElectLeadersRequest.decode(call.body, version: call.version)
        var response = ElectLeadersResponse()
        guard let type = ElectionType(rawValue: request.electionType) else {
            response.error = .invalidRequest
            return call.reply(response)
        }
        var elections: [ElectionWait<Environment>.Election] = []
        let asked =
            request.topics
            ?? view.topics.map { topic in
                var all = ElectLeadersRequest.Topic()
                all.name = topic.name
                all.partitions = topic.partitions.indices.map { Int32($0) }
                return all
            }
        for topic in asked {
            var answer = ElectLeadersResponse.Topic()
            answer.name = topic.name
            for index in topic.partitions {
                var partition = ElectLeadersResponse.Partition()
                partition.index = index
                switch verdict(on: topic.name, index, type) {
                case .elect(let id, let preferred):
                    elections.append(
                        .init(
                            topic: response.topics.count, place: answer.partitions.count, partition: id,
                            preferred: preferred))
                case .refuse(.electionNotNeeded, _) where request.topics == nil:
                    // Asked about all, Kafka leaves out those that are led as they should be.
                    continue
                case .refuse(let error, let reason):
                    partition.error = error
                    partition.errorMessage = reason
                }
                answer.partitions.append(partition)
            }
            if request.topics != nil || !answer.partitions.isEmpty { response.topics.append(answer) }
        }
        guard !elections.isEmpty else { return call.reply(response) }
        let patience = UInt64(min(max(request.timeout, 0), Self.electionPatience)) * 1_000_000
        let wait = ElectionWait(
            elections, response: response, until: environment.now.advanced(byNanoseconds: patience), broker: self
        ) { call.reply($0) }
        waitingElections.append(wait)
        environment.wake(at: wait.deadline)
        for election in elections {
            guard let leader = view.leader(of: election.partition)?.node else { continue }
            controller?.transferLeadership(of: election.partition, from: leader, to: election.preferred)
        }
    }

    private enum ElectionType: Int8 {
        case preferred = 0
        case unclean = 1
    }

    private enum Verdict {
        case elect(PartitionID, NodeID)
        case refuse(ErrorCode, String?)
    }

    private func verdict(on name: String, _ index: Int32, _ type: ElectionType) -> Verdict {
        guard let topic = view.topic(named: name), topic.hasPartition(index) else {
            return .refuse(.unknownTopicOrPartition, "there is no partition \(index) of topic '\(name)'")
        }
        let id = PartitionID(topic: topic.id, index: index)
        let leader = view.leader(of: id)?.node
        switch type {
        case .unclean:
            guard leader == nil else { return .refuse(.electionNotNeeded, nil) }
            return .refuse(
                .eligibleLeadersNotAvailable,
                "nobody is elected who may lack acknowledged records: a majority of the replicas must come back")
        case .preferred:
            guard let preferred = view.cluster.placement(of: id)?.preferredLeader else {
                return .refuse(.unknownTopicOrPartition, nil)
            }
            guard leader != preferred else { return .refuse(.electionNotNeeded, nil) }
            guard view.alive.contains(preferred), leader != nil else {
                let lacking = leader == nil ? "nobody leads at the moment" : "node \(preferred.rawValue) is down"
                return .refuse(.preferredLeaderNotAvailable, lacking)
            }
            return .elect(id, preferred)
        }
    }
}
