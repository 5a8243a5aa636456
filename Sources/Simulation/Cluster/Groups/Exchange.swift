// SPDX-License-Identifier: Apache-2.0

import Broker
import GroupCore
import KafkaWire
import LogModel

/// How a request ended for the client that sent it.
enum ClientOutcome {
    case answer(GroupOutcome)
    /// The connection is gone, or no answer came in time.
    case lost
}

/// The connections of one client, one to each node.
///
/// As on TCP, what travels on a connection arrives in the order in which it was sent, or not at all, and then nothing
/// after it does either.
final class GroupClient {
    let name: String
    /// Counts the connections to each node; what travels on an earlier one is gone.
    var connections: [Int]
    var lastArrival: [UInt64]
    var lastReturn: [UInt64]
    /// The requests that it waits for, by number.
    fileprivate(set) var waiting: [Int: Exchange] = [:]

    init(name: String, nodes: Int) {
        self.name = name
        connections = Array(repeating: 0, count: nodes)
        lastArrival = Array(repeating: 0, count: nodes)
        lastReturn = Array(repeating: 0, count: nodes)
    }
}

/// One request of a client on its way to a node and back.
final class Exchange {
    /// An offset that the request would write or remove, by the number that the checks know it by.
    struct Write {
        let partition: Int32
        let number: Int
        let offset: Int64?
    }

    let number: Int
    let client: GroupClient
    let place: Int
    /// Of the node.
    let life: Int
    let connection: Int
    let group: Int
    let request: GroupRequest
    let version: Int16
    let writes: [Write]
    /// When it reached the coordinator.
    var arrived: UInt64?
    /// The coordinator has let its answer go.
    var isAnswered = false
    /// `nil` once the client knows how it ended.
    var then: ((ClientOutcome) -> Void)?

    init(
        number: Int, client: GroupClient, place: Int, life: Int, group: Int, request: GroupRequest, version: Int16,
        writes: [Write], then: @escaping (ClientOutcome) -> Void
    ) {
        self.number = number
        self.client = client
        self.place = place
        self.life = life
        connection = client.connections[place]
        self.group = group
        self.request = request
        self.version = version
        self.writes = writes
        self.then = then
        client.waiting[number] = self
    }

    var isConnected: Bool { client.connections[place] == connection }

    /// Tells the client, if it has not been told.
    func end(_ outcome: ClientOutcome) {
        guard let then else { return }
        self.then = nil
        client.waiting[number] = nil
        then(outcome)
    }

    /// The generation that the client was in when it sent this.
    var epoch: Int32?

    /// Whether the coordinator may take the time of a rebalance to answer.
    var waitsForOthers: Bool {
        switch request {
        case .joinGroup, .syncGroup: true
        default: false
        }
    }
}

extension GroupRequest {
    /// For the trace of a replay.
    var summary: String {
        switch self {
        case .joinGroup(let request): "join \(request.memberID)"
        case .syncGroup(let request): "sync \(request.memberID) in \(request.generationID)"
        case .heartbeat(let request): "heartbeat \(request.memberID) in \(request.generationID)"
        case .leaveGroup(let request): "leave \(request.members.map(\.memberID))"
        case .offsetCommit(let request):
            "commit \(request.memberID) in \(request.generationIDOrMemberEpoch) "
                + request.topics.flatMap(\.partitions).map { "\($0.index):\($0.committedOffset)" }.joined(
                    separator: " ")
        case .offsetFetch: "offsets?"
        case .offsetDelete(let request): "delete offsets \(request.topics.flatMap(\.partitions).map(\.index))"
        case .deleteGroup: "delete group"
        case .consumerGroupHeartbeat(let request):
            "heartbeat \(request.memberID) in \(request.memberEpoch) "
                + "owns \(request.topicPartitions?.flatMap(\.partitions) ?? [])"
        case .describeGroup, .consumerGroupDescribe, .explain: "describe"
        }
    }
}

extension GroupOutcome {
    var summary: String {
        switch self {
        case .refused(let error): "\(error)"
        case .reply(.joinGroup(let reply)): "joined \(reply.error) \(reply.memberID) in \(reply.generationID)"
        case .reply(.syncGroup(let reply)): "synced \(reply.error)"
        case .reply(.heartbeat(let reply)): "\(reply.error)"
        case .reply(.leaveGroup(let reply)): "left \(reply.error) \(reply.members.map(\.error))"
        case .reply(.offsetCommit(let reply)): "committed \(reply.topics.flatMap(\.partitions).map(\.error))"
        case .reply(.offsetFetch(let reply)):
            "offsets \(reply.error) "
                + reply.topics.flatMap(\.partitions).map { "\($0.index):\($0.committedOffset)" }.joined(separator: " ")
        case .reply(.offsetDelete(let reply)): "deleted \(reply.error) \(reply.topics.flatMap(\.partitions))"
        case .reply(.deleteGroup(let reply)): "deleted \(reply.error)"
        case .reply(.consumerGroupHeartbeat(let reply)):
            "\(reply.error) epoch \(reply.memberEpoch) "
                + (reply.assignment.map { "owns \($0.topicPartitions.flatMap(\.partitions))" } ?? "")
        case .reply: "described"
        }
    }
}
