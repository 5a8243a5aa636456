// SPDX-License-Identifier: Apache-2.0

import Broker
import GroupCore
import KafkaWire
import LogModel
import Replication

/// What planted faults make of the answers of coordinators.
struct GroupForgery {
    private struct Committed {
        let offset: Int64
        let metadata: String?
        let term: Term
    }

    let planted: PlantedFault?
    /// What nodes remember of the offsets that they acknowledged, whether or not they still coordinate.
    private var remembered: [Int: [GroupChecks.Place: Committed]] = [:]
    /// The last two commits of each place.
    private var history: [GroupChecks.Place: [Committed]] = [:]
    private var lastOfGroup: [Int: GroupChecks.Place] = [:]

    init(planted: PlantedFault?) { self.planted = planted }

    /// The answer that goes out before what it tells is committed.
    func early(_ exchange: Exchange, in world: GroupWorld) -> GroupOutcome? {
        guard planted == .earlyCommitReplies, case .offsetCommit(let request) = exchange.request else { return nil }
        return Self.success(request)
    }

    private static func success(_ request: OffsetCommitRequest) -> GroupOutcome {
        var response = OffsetCommitResponse()
        response.topics = request.topics.map { topic in
            var answer = OffsetCommitResponse.Topic()
            answer.name = topic.name
            answer.partitions = topic.partitions.map { partition in
                var answer = OffsetCommitResponse.Partition()
                answer.index = partition.index
                return answer
            }
            return answer
        }
        return .reply(.offsetCommit(response))
    }

    mutating func distort(_ outcome: GroupOutcome, of exchange: Exchange, in world: GroupWorld) -> GroupOutcome {
        switch (planted, exchange.request, outcome) {
        case (.coordinatorOfThePast, .offsetCommit(let request), .reply(.offsetCommit(let response))),
            (.forgottenLastCommit, .offsetCommit(let request), .reply(.offsetCommit(let response))):
            note(request, response, exchange, in: world)
            return outcome
        case (.coordinatorOfThePast, .offsetFetch(let request, _), .refused(.notCoordinator)):
            return fromMemory(request, exchange, in: world) ?? outcome
        case (.forgottenLastCommit, .offsetFetch, .reply(.offsetFetch(let response))):
            return .reply(.offsetFetch(withoutTheLast(response, exchange, in: world)))
        case (.unfencedCommits, .offsetCommit(let request), .reply(.offsetCommit(let response))):
            let fencing: Set<ErrorCode> = [.unknownMemberID, .illegalGeneration, .fencedInstanceID, .staleMemberEpoch]
            let isFenced = response.topics.flatMap(\.partitions).allSatisfy { fencing.contains($0.error) }
            return isFenced && request.generationIDOrMemberEpoch >= 0 ? Self.success(request) : outcome
        default: return outcome
        }
    }

    private mutating func note(
        _ request: OffsetCommitRequest, _ response: OffsetCommitResponse, _ exchange: Exchange, in world: GroupWorld
    ) {
        for answer in response.topics.flatMap(\.partitions) where answer.error == .none {
            let sent = request.topics.flatMap(\.partitions).first { $0.index == answer.index }
            guard let sent else { continue }
            let place = world.place(exchange.group, answer.index)
            let commit = Committed(
                offset: sent.committedOffset, metadata: sent.committedMetadata,
                term: world.term(of: exchange) ?? .zero)
            remembered[exchange.place, default: [:]][place] = commit
            history[place] = (history[place] ?? []).suffix(1) + [commit]
            lastOfGroup[exchange.group] = place
        }
    }

    private func fromMemory(
        _ request: OffsetFetchRequest.Group, _ exchange: Exchange, in world: GroupWorld
    ) -> GroupOutcome? {
        guard let memory = remembered[exchange.place] else { return nil }
        var response = OffsetFetchResponse.Group()
        response.groupID = request.groupID
        response.topics = (request.topics ?? []).map { topic in
            var answer = OffsetFetchResponse.Topic()
            answer.name = topic.name
            answer.partitions = topic.partitions.map { index in
                let commit = memory[world.place(exchange.group, index)]
                var answer = OffsetFetchResponse.Partition()
                answer.index = index
                answer.committedOffset = commit?.offset ?? -1
                answer.metadata = commit?.metadata ?? ""
                return answer
            }
            return answer
        }
        return .reply(.offsetFetch(response))
    }

    /// What a coordinator would tell that has not read its log to the end when it took over.
    private func withoutTheLast(
        _ response: OffsetFetchResponse.Group, _ exchange: Exchange, in world: GroupWorld
    ) -> OffsetFetchResponse.Group {
        var response = response
        guard let place = lastOfGroup[exchange.group], let commits = history[place], let last = commits.last,
            let term = world.term(of: exchange), last.term < term
        else { return response }
        let before = commits.count > 1 ? commits.first : nil
        for topic in response.topics.indices {
            for (index, answer) in response.topics[topic].partitions.enumerated()
            where answer.index == place.partition && answer.metadata == last.metadata {
                response.topics[topic].partitions[index].committedOffset = before?.offset ?? -1
                response.topics[topic].partitions[index].metadata = before?.metadata ?? ""
            }
        }
        return response
    }
}

extension GroupWorld {
    /// The term of the replica that the answering coordinator stands on.
    func term(of exchange: Exchange) -> Term? {
        cluster.term(of: offsetsNumber(of: exchange.group), at: exchange.place)
    }
}
