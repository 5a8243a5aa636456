// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import LogStorage
import NIOCore
import RaftCore
import Replication

/// What the controller decides about moves and voters.
extension Broker {
    /// AlterPartitionReassignments (API key 45).
    func alterPartitionReassignments(_ call: Call<Files>) throws(WireError) {
        let request = try AlterPartitionReassignmentsRequest.decode(call.body, version: call.version)
        try pass(request, of: call) {
            var response = AlterPartitionReassignmentsResponse()
            response.allowsReplicationFactorChange = request.allowsReplicationFactorChange
            response.error = .requestTimedOut
            response.errorMessage = Self.unreachedMessage
            return response
        }
    }

    /// ListPartitionReassignments (API key 46).
    func listPartitionReassignments(_ call: Call<Files>) throws(WireError) {
        let request = try ListPartitionReassignmentsRequest.decode(call.body, version: call.version)
        try pass(request, of: call) {
            var response = ListPartitionReassignmentsResponse()
            response.error = .requestTimedOut
            response.errorMessage = Self.unreachedMessage
            return response
        }
    }

    /// DescribeQuorum (API key 55).
    func describeQuorum(_ call: Call<Files>) throws(WireError) {
        let request = try DescribeQuorumRequest.decode(call.body, version: call.version)
        try pass(request, of: call) {
            var response = DescribeQuorumResponse()
            response.error = .requestTimedOut
            response.errorMessage = Self.unreachedMessage
            return response
        }
    }

    /// AddRaftVoter (API key 80).
    func addRaftVoter(_ call: Call<Files>) throws(WireError) {
        let request = try AddRaftVoterRequest.decode(call.body, version: call.version)
        try pass(request, of: call) {
            var response = AddRaftVoterResponse()
            response.error = .requestTimedOut
            response.errorMessage = Self.unreachedMessage
            return response
        }
    }

    /// RemoveRaftVoter (API key 81).
    func removeRaftVoter(_ call: Call<Files>) throws(WireError) {
        let request = try RemoveRaftVoterRequest.decode(call.body, version: call.version)
        try pass(request, of: call) {
            var response = RemoveRaftVoterResponse()
            response.error = .requestTimedOut
            response.errorMessage = Self.unreachedMessage
            return response
        }
    }

    /// BalanceCluster (API key 10002).
    func balanceCluster(_ call: Call<Files>) throws(WireError) {
        let request = try BalanceClusterRequest.decode(call.body, version: call.version)
        try pass(request, of: call) {
            var response = BalanceClusterResponse()
            response.error = .requestTimedOut
            response.errorMessage = Self.unreachedMessage
            return response
        }
    }

    private func pass<Request: WireRequest>(
        _ request: Request, of call: Call<Files>, unreached: @escaping () -> Request.Response
    ) throws(WireError) {
        let frame = try request.encodeFrame(
            correlationID: call.header.correlationID, clientID: nil, version: call.version
        ).bytes
        administer(frame) { reply in
            if let reply { call.relay(reply) } else { call.reply(unreached()) }
        }
    }
}

// MARK: - DescribeMoves (API key 10001)

extension Broker {
    func describeMoves(_ call: Call<Files>) throws(WireError) {
        let request = try DescribeMovesRequest.decode(call.body, version: call.version)
        let round = MovesRound { call.reply($0) }
        var asked: [[(place: Int, partition: PartitionID)]] = Array(repeating: [], count: shardCount)
        for topic in request.topics {
            let found = view.topic(named: topic.name)
            for index in topic.partitions {
                var move = DescribeMovesResponse.Move()
                move.topic = topic.name
                move.partition = index
                if let found, found.hasPartition(index) {
                    let id = PartitionID(topic: found.id, index: index)
                    asked[id.shard(of: shardCount)].append((round.response.moves.count, id))
                } else {
                    move.error = .unknownTopicOrPartition
                }
                round.response.moves.append(move)
            }
        }
        for (shard, asked) in asked.enumerated() where !asked.isEmpty {
            round.expect()
            if shard == index {
                round.take(asked.map { ($0.place, moveHere($0.partition)) })
                continue
            }
            let port = ports[shard]
            let home = ports[index].loop
            let bound = NIOLoopBound(round, eventLoop: home)
            port.loop.execute {
                let broker = port.broker.value
                let answers = asked.map { ($0.place, broker.moveHere($0.partition)) }
                home.execute { bound.value.take(answers) }
            }
        }
        round.take([])
    }

    private func moveHere(_ id: PartitionID) -> DescribeMovesResponse.Move {
        var move = DescribeMovesResponse.Move()
        guard let replica = shard.replica(id), replica.isLeader else {
            move.error = .notLeaderOrFollower
            return move
        }
        let members = replica.members
        move.logBytes = replica.log.size.rawValue
        move.voters = members.voters.map(\.rawValue)
        move.outgoing = members.outgoing.map(\.rawValue)
        guard let under = replica.move else { return move }
        move.phase = under.phase.name
        move.reason = under.description
        move.sinceMilliseconds = Int64(environment.now.nanoseconds(since: under.since) / 1_000_000)
        let start = replica.log.start.position.end
        move.replicas = under.newcomers.map { newcomer in
            var answer = DescribeMovesResponse.Replica()
            answer.id = newcomer.node.rawValue
            answer.match = newcomer.match.rawValue
            answer.start = start.rawValue
            answer.end = newcomer.end.rawValue
            return answer
        }
        return move
    }
}

extension MembershipMove.Phase {
    /// As `godwit cluster moves` shows it.
    fileprivate var name: String {
        switch self {
        case .catchingUp: "catching up"
        case .joining: "joining"
        case .leaving: "leaving"
        case .handingOver: "handing over"
        }
    }
}

/// A DescribeMoves that is out to several shards.
private final class MovesRound {
    var response = DescribeMovesResponse()
    private var outstanding = 1
    private let done: (DescribeMovesResponse) -> Void

    init(done: @escaping (DescribeMovesResponse) -> Void) { self.done = done }

    func expect() { outstanding += 1 }

    func take(_ answers: [(place: Int, move: DescribeMovesResponse.Move)]) {
        for (place, move) in answers {
            let asked = response.moves[place]
            response.moves[place] = move
            response.moves[place].topic = asked.topic
            response.moves[place].partition = asked.partition
        }
        outstanding -= 1
        if outstanding == 0 { done(response) }
    }
}
