// SPDX-License-Identifier: Apache-2.0
import GodwitClient
import KafkaWire
import LogModel
import NIOCore

/// Groups without members that commit offsets again and again, each its next when the last one is acknowledged.
// SAFETY: every stored property is touched on the client's loop alone once `run` has begun.
final class CommitLoad: @unchecked Sendable {
    private let loop: any EventLoop
    private let lines: [RequestLine]
    private let groups: [String]
    private let topic: TopicDescription
    private let perCommit: Int
    private let limit: LoadLimit
    private let warmup: Int64
    private let onWarm: () -> Void
    private var tally = Tally()
    private var isWarm: Bool
    private var sent = 0
    private var unanswered = 0
    /// What each group commits next.
    private var offsets: [Int64]
    private var finish: CheckedContinuation<Tally, Never>?

    /// - Parameter perCommit: how many partitions each commit names.
    init(
        _ client: KafkaClient, lines: [RequestLine], groups: [String], topic: TopicDescription, perCommit: Int,
        limit: LoadLimit, warmup: Int64 = 0, onWarm: @escaping () -> Void = {}
    ) {
        precondition(!lines.isEmpty && !groups.isEmpty, "commits need a group and a connection")
        loop = client.eventLoop
        self.lines = lines
        self.groups = groups
        self.topic = topic
        self.perCommit = min(perCommit, topic.partitions.count)
        self.limit = limit
        self.warmup = warmup
        self.onWarm = onWarm
        isWarm = warmup == 0
        offsets = Array(repeating: 0, count: groups.count)
    }

    /// Commits until the limit. A record of the tally is a commit.
    func run() async -> Tally {
        await withCheckedContinuation { continuation in
            loop.execute {
                self.finish = continuation
                self.tally.restart()
                if self.isWarm { self.onWarm() }
                for index in self.groups.indices { self.send(index) }
                self.endIfDone()
            }
        }
    }

    /// A commit of the same offset in the first `count` partitions of `topic`, by nobody's membership.
    static func request(
        _ group: String, _ topic: TopicDescription, count: Int, offset: Int64
    ) -> OffsetCommitRequest {
        var named = OffsetCommitRequest.Topic()
        named.name = topic.name
        named.id = topic.id ?? .zero
        named.partitions = topic.partitions.prefix(count).map { each in
            var partition = OffsetCommitRequest.Partition()
            partition.index = each.index
            partition.committedOffset = offset
            return partition
        }
        var request = OffsetCommitRequest()
        request.groupID = group
        request.topics = [named]
        return request
    }

    private func send(_ index: Int) {
        let now = monotonicNanoseconds()
        if !isWarm, now - tally.began >= warmup {
            isWarm = true
            sent = 0
            tally.restart()
            onWarm()
        }
        let isOver = isWarm && (sent >= limit.records || now - tally.began >= limit.nanoseconds)
        guard !isOver, tally.failed == 0 else { return }
        sent += 1
        unanswered += 1
        offsets[index] += 1
        let request = Self.request(groups[index], topic, count: perCommit, offset: offsets[index])
        lines[index % lines.count].send(request) { result in
            self.unanswered -= 1
            self.answered(result, since: now)
            self.send(index)
            self.endIfDone()
        }
    }

    private func answered(_ result: Result<OffsetCommitResponse, ClientError>, since: Int64) {
        let now = monotonicNanoseconds()
        tally.ended = now
        switch result {
        case .failure(let error): tally.refused(records: 1, error)
        case .success(let answer):
            let partitions = answer.topics.flatMap(\.partitions)
            if let bad = partitions.first(where: { $0.error != .none }) {
                tally.refused(records: 1, .refused(bad.error, subject: "a commit", message: nil))
            } else if partitions.count != perCommit {
                tally.refused(
                    records: 1, .badAnswer("a commit of \(perCommit) partitions, \(partitions.count) answers"))
            } else {
                tally.acknowledged(records: 1, bytes: 0, nanoseconds: now - since)
            }
        }
    }

    private func endIfDone() {
        guard unanswered == 0, let finish else { return }
        self.finish = nil
        finish.resume(returning: tally)
    }
}
