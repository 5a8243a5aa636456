// SPDX-License-Identifier: Apache-2.0

import Broker
import GroupCore
import KafkaWire
import LogModel
import Replication

/// Holds what coordinators are asked and what they answer against the promises.
extension GroupWorld {
    func noteArrival(of exchange: Exchange) {
        let group = name(of: exchange.group)
        for write in exchange.writes {
            checks.arrived(
                write.number, at: place(exchange.group, write.partition), offset: write.offset,
                isExplicit: exchange.isExplicit, time: cluster.now)
        }
        switch exchange.request {
        case .deleteGroup:
            deletedGroups.insert(exchange.group)
            checks.forget(group)
        case .consumerGroupHeartbeat(let request):
            let isLeaving = request.memberEpoch < 0
            let owned = isLeaving ? [] : request.topicPartitions?.flatMap(\.partitions)
            checks.said(request.memberID, of: group, owned: owned, isLeaving: isLeaving)
        default: break
        }
    }

    func check(_ outcome: GroupOutcome, of exchange: Exchange) throws(Violation) {
        switch outcome {
        case .refused(.notCoordinator): cluster.digest.add(1)
        case .refused(.coordinatorLoadInProgress):
            cluster.digest.add(2)
            for write in exchange.writes { checks.refused(write.number) }
            try checkLoading(exchange)
        case .refused(let error):
            throw Violation(.requestsEnd, "n\(exchange.place) answered \(exchange.request.summary) with \(error)")
        case .reply(let reply):
            cluster.digest.add(3)
            let number = offsetsNumber(of: exchange.group)
            guard let term = cluster.leadingTerm(of: number, at: exchange.place) else {
                throw Violation(
                    .groupOffsets, "n\(exchange.place) answers for \(name(of: exchange.group)) and does not lead it")
            }
            try check(reply, of: exchange, term: term)
        }
    }

    /// A leader that can commit reads its log and coordinates.
    private func checkLoading(_ exchange: Exchange) throws(Violation) {
        let number = offsetsNumber(of: exchange.group)
        guard let waited = cluster.undisturbed(number, at: exchange.place), waited > loadingBound else { return }
        throw Violation(
            .requestsEnd, "n\(exchange.place) leads \(number) for \(waited / 1_000_000) ms and still loads it")
    }

    private func check(_ reply: GroupReply, of exchange: Exchange, term: Term) throws(Violation) {
        switch (reply, exchange.request) {
        case (.offsetCommit(let response), .offsetCommit(let request)):
            try checkCommit(response, request, exchange, term)
        case (.offsetFetch(let response), .offsetFetch): try checkFetch(response, exchange, term)
        case (.offsetDelete(let response), .offsetDelete): try checkDelete(response, exchange, term)
        case (.deleteGroup(let response), .deleteGroup):
            // What was answered before it is told after it has arrived.
            if response.error == .none { checks.forget(name(of: exchange.group)) }
            for write in exchange.writes {
                if response.error == .none {
                    try checks.acknowledged(write.number, term: term, time: cluster.now)
                } else {
                    checks.refused(write.number)
                }
            }
        case (.syncGroup(let response), .syncGroup(let request)):
            try checkSync(response, request, exchange, term)
        case (.joinGroup(let response), .joinGroup):
            if response.error == .none {
                checks.joined(membership(exchange, response.memberID, response.generationID))
            }
        case (.heartbeat(let response), .heartbeat(let request)):
            noteFencing(response.error, request.memberID, request.generationID, exchange, term)
        case (.leaveGroup(let response), .leaveGroup): noteLeaving(response, exchange, term)
        case (.consumerGroupHeartbeat(let response), .consumerGroupHeartbeat(let request)):
            try checkHeartbeat(response, request, exchange, term)
        default:
            throw Violation(.requestsEnd, "n\(exchange.place) answered \(exchange.request.summary) with \(reply)")
        }
    }

    // MARK: - Offsets

    private func checkCommit(
        _ response: OffsetCommitResponse, _ request: OffsetCommitRequest, _ exchange: Exchange, _ term: Term
    ) throws(Violation) {
        let answers = response.topics.flatMap(\.partitions)
        for write in exchange.writes {
            guard let answer = answers.first(where: { $0.index == write.partition }) else {
                throw Violation(.requestsEnd, "n\(exchange.place) says nothing of partition \(write.partition)")
            }
            cluster.digest.add(write.number &* 256 &+ Int(answer.error.rawValue))
            guard answer.error == .none else {
                checks.refused(write.number)
                noteFencing(answer.error, request.memberID, request.generationIDOrMemberEpoch, exchange, term)
                continue
            }
            cluster.count(.commit)
            if !exchange.isExplicit {
                let membership = membership(exchange, request.memberID, request.generationIDOrMemberEpoch)
                try checks.accepted(membership, arrived: exchange.arrived ?? 0, term: term)
            }
            try checks.acknowledged(write.number, term: term, time: cluster.now)
        }
    }

    private func checkFetch(
        _ response: OffsetFetchResponse.Group, _ exchange: Exchange, _ term: Term
    ) throws(Violation) {
        guard response.error == .none else { return }
        cluster.count(.offsetFetch)
        for answer in response.topics.flatMap(\.partitions) {
            guard answer.error == .none else {
                throw Violation(.requestsEnd, "n\(exchange.place) cannot tell an offset: \(answer.error)")
            }
            cluster.digest.add(Int(answer.committedOffset))
            let number = answer.committedOffset < 0 ? nil : Self.writeNumber(in: answer.metadata) ?? -1
            try checks.told(
                number, offset: answer.committedOffset, at: place(exchange.group, answer.index),
                arrived: exchange.arrived ?? 0, term: term, time: cluster.now)
        }
    }

    private func checkDelete(
        _ response: OffsetDeleteResponse, _ exchange: Exchange, _ term: Term
    ) throws(Violation) {
        let answers = response.topics.flatMap(\.partitions)
        for write in exchange.writes {
            let error = response.error != .none ? response.error : answers.first { $0.index == write.partition }?.error
            if error == ErrorCode.none {
                try checks.acknowledged(write.number, term: term, time: cluster.now)
            } else {
                checks.refused(write.number)
            }
        }
    }

    // MARK: - Members

    private func membership(_ exchange: Exchange, _ member: String, _ epoch: Int32) -> GroupChecks.Membership {
        .init(group: name(of: exchange.group), member: member, epoch: epoch)
    }

    private func noteFencing(
        _ error: ErrorCode, _ member: String, _ epoch: Int32, _ exchange: Exchange, _ term: Term
    ) {
        switch error {
        case .unknownMemberID, .illegalGeneration, .fencedInstanceID, .fencedMemberEpoch, .staleMemberEpoch:
            guard epoch >= 0 else { return }
            cluster.count(.fencedMember)
            checks.fenced(membership(exchange, member, epoch), term: term, time: cluster.now)
            if error == .unknownMemberID || error == .fencedMemberEpoch {
                checks.gone(member, of: name(of: exchange.group))
            }
        default: break
        }
    }

    private func noteLeaving(_ response: LeaveGroupResponse, _ exchange: Exchange, _ term: Term) {
        guard response.error == .none, let epoch = exchange.epoch else { return }
        for member in response.members where member.error == .none && !member.memberID.isEmpty {
            checks.fenced(membership(exchange, member.memberID, epoch), term: term, time: cluster.now)
        }
    }

    private func checkSync(
        _ response: SyncGroupResponse, _ request: SyncGroupRequest, _ exchange: Exchange, _ term: Term
    ) throws(Violation) {
        guard response.error == .none else {
            return noteFencing(response.error, request.memberID, request.generationID, exchange, term)
        }
        cluster.count(.assignment)
        try checks.assigned(
            ClassicMember.partitions(of: response.assignment), to: request.groupInstanceID ?? request.memberID,
            in: request.generationID, of: name(of: exchange.group), time: cluster.now)
    }

    private func checkHeartbeat(
        _ response: ConsumerGroupHeartbeatResponse, _ request: ConsumerGroupHeartbeatRequest, _ exchange: Exchange,
        _ term: Term
    ) throws(Violation) {
        let group = name(of: exchange.group)
        guard response.error == .none else {
            return noteFencing(response.error, request.memberID, request.memberEpoch, exchange, term)
        }
        guard request.memberEpoch >= 0 else {
            checks.gone(request.memberID, of: group)
            return
        }
        checks.heard(
            request.memberID, of: group, owned: request.topicPartitions?.flatMap(\.partitions),
            time: exchange.arrived ?? 0)
        checks.joined(membership(exchange, request.memberID, response.memberEpoch))
        checks.told(epoch: response.memberEpoch, to: request.memberID, of: group, time: cluster.now)
        guard let assignment = response.assignment else { return }
        cluster.count(.assignment)
        try checks.told(
            assignment.topicPartitions.flatMap(\.partitions), to: request.memberID, of: group,
            asked: exchange.arrived ?? 0, time: cluster.now, patience: climate.patience)
    }
}

extension Exchange {
    /// It comes from an administrator, not from a member.
    var isExplicit: Bool {
        switch request {
        case .offsetCommit(let request): request.generationIDOrMemberEpoch < 0
        case .offsetDelete, .deleteGroup: true
        default: false
        }
    }
}
