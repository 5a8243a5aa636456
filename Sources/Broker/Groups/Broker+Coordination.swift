// SPDX-License-Identifier: Apache-2.0

import GroupCore
import KafkaWire
import LogModel
import NIOCore
import Replication

extension Broker {
    /// Has a group's coordinator answer, if it is on this node: one hop when another loop keeps it.
    ///
    /// - Parameter done: called once, on this loop, perhaps much later.
    func coordinate(
        _ request: GroupRequest, group: String, _ call: Call<Files>, done: @escaping (GroupOutcome) -> Void
    ) {
        guard let place = coordinatorPlace(of: group) else { return done(.refused(.notCoordinator)) }
        let shard = place.shard(of: shardCount)
        let (version, clientID, host) = (call.version, call.header.clientID ?? "", call.host)
        guard shard != index else {
            return groups.handle(
                request, partition: place.index, version: version, clientID: clientID, clientHost: host, done: done)
        }
        let home = ports[index].loop
        let port = ports[shard]
        let bound = NIOLoopBound(done, eventLoop: home)
        port.loop.execute {
            port.broker.value.groups.handle(
                request, partition: place.index, version: version, clientID: clientID, clientHost: host
            ) { outcome in
                home.execute { bound.value(outcome) }
            }
        }
    }

    /// Asks a coordinator and answers the call with what it says, or with `refusal` when there is none here.
    func coordinate<Response: WireResponse>(
        _ request: GroupRequest, group: String, _ call: Call<Files>, refusal: @escaping (ErrorCode) -> Response
    ) {
        coordinate(request, group: group, call) { outcome in
            call.reply(outcome.message(orRefusal: refusal))
        }
    }

    /// The partition of `__consumer_offsets` that a group belongs to; `nil` while there is no such topic.
    func coordinatorPlace(of group: String) -> PartitionID? {
        guard let topic = view.topic(named: GroupPlace.topic) else { return nil }
        return PartitionID(
            topic: topic.id, index: GroupPlace.partition(of: group, count: topic.partitions.count))
    }

    /// The same question to the coordinators of several groups; `done` gets the outcomes in the order of the groups.
    func coordinate(
        each requests: [(group: String, request: GroupRequest)], _ call: Call<Files>,
        done: @escaping ([GroupOutcome]) -> Void
    ) {
        guard !requests.isEmpty else { return done([]) }
        let round = GroupRound(count: requests.count, done: done)
        for (place, item) in requests.enumerated() {
            coordinate(item.request, group: item.group, call) { round.landed($0, at: place) }
        }
    }
}

/// Gathers what the coordinators of several groups answer.
private final class GroupRound {
    private var outcomes: [GroupOutcome?]
    private var outstanding: Int
    private let done: ([GroupOutcome]) -> Void

    init(count: Int, done: @escaping ([GroupOutcome]) -> Void) {
        outcomes = Array(repeating: nil, count: count)
        outstanding = count
        self.done = done
    }

    func landed(_ outcome: GroupOutcome, at place: Int) {
        precondition(outcomes[place] == nil, "a coordinator answers once")
        outcomes[place] = outcome
        outstanding -= 1
        if outstanding == 0 { done(outcomes.compactMap(\.self)) }
    }
}

extension GroupOutcome {
    /// What the coordinator said, or what is said in its place.
    func message<Message>(orRefusal refusal: (ErrorCode) -> Message) -> Message {
        switch self {
        case .refused(let error): return refusal(error)
        case .reply(let reply):
            guard let message = reply.message as? Message else {
                preconditionFailure("a coordinator answered with \(reply) where \(Message.self) was due")
            }
            return message
        }
    }
}

extension GroupReply {
    fileprivate var message: any Sendable {
        switch self {
        case .joinGroup(let message): message
        case .syncGroup(let message): message
        case .heartbeat(let message): message
        case .leaveGroup(let message): message
        case .offsetCommit(let message): message
        case .offsetFetch(let message): message
        case .describeGroup(let message): message
        case .deleteGroup(let message): message
        case .offsetDelete(let message): message
        case .consumerGroupHeartbeat(let message): message
        case .consumerGroupDescribe(let message): message
        case .explain(let message): message
        }
    }
}
