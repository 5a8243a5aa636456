// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import LogStorage
import NIOCore
import Replication

/// One partition's question about its log, asked on the partition's own loop.
struct LogQuestion: Sendable {
    let partition: PartitionID
    let currentLeaderEpoch: Int32
    /// A time, one of `ListOffsets`' special values, or a leader epoch.
    let value: Int64
}

struct LogAnswer: Sendable {
    var error = ErrorCode.none
    var offset: Int64 = -1
    var timestamp: Int64 = -1
    var leaderEpoch: Int32 = -1
}

extension Broker {
    /// ListOffsets (API key 2).
    func listOffsets(_ call: Call<Files>) throws(WireError) {
        let request = try ListOffsetsRequest.decode(call.body, version: call.version)
        let questions = request.topics.map { topic in
            let found = view.topic(named: topic.name)
            return topic.partitions.map { partition in
                question(found, partition.index, partition.currentLeaderEpoch, partition.timestamp)
            }
        }
        let version = call.version
        ask(questions, { $0.offset(answering: $1, version: version) }) { answers in
            var response = ListOffsetsResponse()
            for (topic, answers) in zip(request.topics, answers) {
                var answered = ListOffsetsResponse.Topic()
                answered.name = topic.name
                answered.partitions = zip(topic.partitions, answers).map { asked, answer in
                    var partition = ListOffsetsResponse.Partition()
                    partition.index = asked.index
                    partition.error = answer.error
                    partition.offset = answer.offset
                    partition.timestamp = answer.timestamp
                    partition.leaderEpoch = answer.leaderEpoch
                    return partition
                }
                response.topics.append(answered)
            }
            call.reply(response)
        }
    }

    /// OffsetForLeaderEpoch (API key 23): where an epoch's records end, so that consumers notice truncation (KIP-320).
    func offsetForLeaderEpoch(_ call: Call<Files>) throws(WireError) {
        let request = try OffsetForLeaderEpochRequest.decode(call.body, version: call.version)
        let questions = request.topics.map { topic in
            let found = view.topic(named: topic.name)
            return topic.partitions.map { partition in
                question(found, partition.index, partition.currentLeaderEpoch, Int64(partition.leaderEpoch))
            }
        }
        ask(questions, { $0.epochEnd(answering: $1) }) { answers in
            var response = OffsetForLeaderEpochResponse()
            for (topic, answers) in zip(request.topics, answers) {
                var answered = OffsetForLeaderEpochResponse.Topic()
                answered.name = topic.name
                answered.partitions = zip(topic.partitions, answers).map { asked, answer in
                    var partition = OffsetForLeaderEpochResponse.Partition()
                    partition.index = asked.index
                    partition.error = answer.error
                    partition.leaderEpoch = answer.leaderEpoch
                    partition.endOffset = answer.offset
                    return partition
                }
                response.topics.append(answered)
            }
            call.reply(response)
        }
    }

    private func question(_ topic: TopicView?, _ index: Int32, _ epoch: Int32, _ value: Int64) -> LogQuestion? {
        guard let topic, topic.hasPartition(index) else { return nil }
        return LogQuestion(
            partition: PartitionID(topic: topic.id, index: index), currentLeaderEpoch: epoch, value: value)
    }

    // MARK: - Asking shards

    /// Has each question answered on its partition's own loop; `nil` questions are about unknown partitions.
    private func ask(
        _ questions: [[LogQuestion?]], _ respond: @escaping @Sendable (Replica<Environment>, LogQuestion) -> LogAnswer,
        then: @escaping ([[LogAnswer]]) -> Void
    ) {
        let round = QuestionRound(questions, then: then)
        for shard in 0..<shardCount {
            var places: [(Int, Int, LogQuestion)] = []
            for (topic, list) in questions.enumerated() {
                for (place, question) in list.enumerated() {
                    guard let question, question.partition.shard(of: shardCount) == shard else { continue }
                    places.append((topic, place, question))
                }
            }
            guard !places.isEmpty else { continue }
            round.expect()
            if shard == index {
                answer(places, respond) { round.take($0) }
                continue
            }
            let port = ports[shard]
            let home = ports[index].loop
            let bound = NIOLoopBound(round, eventLoop: home)
            let asked = places
            port.loop.execute {
                port.broker.value.answer(asked, respond) { answers in home.execute { bound.value.take(answers) } }
            }
        }
        round.take([])
    }

    /// Answers questions about partitions led here, once the other voters have said that they are (C14).
    private func answer(
        _ questions: [(Int, Int, LogQuestion)], _ respond: (Replica<Environment>, LogQuestion) -> LogAnswer,
        done: @escaping ([(Int, Int, LogAnswer)]) -> Void
    ) {
        let answers = questions.map { ($0.0, $0.1, answer($0.2, respond)) }
        var asked: [PartitionID] = []
        for (question, answer) in zip(questions, answers) where answer.2.error == .none {
            asked.append(question.2.partition)
        }
        confirm(asked) { deposed in
            guard !deposed.isEmpty else { return done(answers) }
            done(
                zip(questions, answers).map { question, answer in
                    guard deposed.contains(question.2.partition), answer.2.error == .none else { return answer }
                    return (answer.0, answer.1, LogAnswer(error: .notLeaderOrFollower))
                })
        }
    }

    private func answer(
        _ question: LogQuestion, _ respond: (Replica<Environment>, LogQuestion) -> LogAnswer
    ) -> LogAnswer {
        guard let replica = shard.replica(question.partition), replica.isInTouch else {
            return LogAnswer(error: .notLeaderOrFollower)
        }
        if let error = replica.refusal(ofEpoch: question.currentLeaderEpoch) { return LogAnswer(error: error) }
        return respond(replica, question)
    }
}

/// Questions that are out to several shards.
private final class QuestionRound {
    private var answers: [[LogAnswer]]
    private var outstanding = 1
    private let then: ([[LogAnswer]]) -> Void

    init(_ questions: [[LogQuestion?]], then: @escaping ([[LogAnswer]]) -> Void) {
        answers = questions.map { $0.map { LogAnswer(error: $0 == nil ? .unknownTopicOrPartition : .none) } }
        self.then = then
    }

    func expect() { outstanding += 1 }

    func take(_ some: [(Int, Int, LogAnswer)]) {
        for (topic, place, answer) in some { answers[topic][place] = answer }
        outstanding -= 1
        if outstanding == 0 { then(answers) }
    }
}

/// ListOffsets' special times.
private enum SpecialTime {
    static let latest: Int64 = -1
    static let earliest: Int64 = -2
    /// The record with the largest timestamp (KIP-734).
    static let maxTimestamp: Int64 = -3
    /// The first record on local disk (KIP-405): the earliest, as nothing is elsewhere.
    static let earliestLocal: Int64 = -4
    /// The last record in tiered storage (KIP-1005): there is none.
    static let latestTiered: Int64 = -5
}

extension Replica {
    func offset(answering question: LogQuestion, version: Int16) -> LogAnswer {
        var answer = LogAnswer()
        guard let highWatermark else {
            answer.error = version >= 5 ? .offsetNotAvailable : .leaderNotAvailable
            return answer
        }
        switch question.value {
        case SpecialTime.latest:
            answer.offset = highWatermark.rawValue
            answer.leaderEpoch = term.rawValue
        case SpecialTime.earliest, SpecialTime.earliestLocal:
            answer.offset = logStart.rawValue
            answer.leaderEpoch = epoch(of: logStart) ?? term.rawValue
        case SpecialTime.latestTiered:
            break
        case SpecialTime.maxTimestamp:
            find(in: &answer) { (log) throws(LogError) in try log.maxTimestamp(upTo: highWatermark) }
        case ..<0:
            answer.error = .invalidRequest
        default:
            let time = Timestamp(milliseconds: question.value)
            find(in: &answer) { (log) throws(LogError) in try log.offset(atOrAfter: time, upTo: highWatermark) }
        }
        return answer
    }

    private func find(
        in answer: inout LogAnswer,
        _ search: (PartitionLog<Environment.Files>) throws(LogError) -> TimedOffset?
    ) {
        do throws(LogError) {
            guard let found = try search(log) else { return }
            answer.offset = found.offset.rawValue
            answer.timestamp = found.timestamp.milliseconds
            answer.leaderEpoch = found.term.rawValue
        } catch {
            suspect(after: error)
            answer.error = ErrorCode(error)
        }
    }

    private func epoch(of offset: Offset) -> Int32? {
        log.terms.term(at: log.index(of: offset))?.rawValue
    }

    /// The largest epoch not above the one asked for, and where its records end; −1 and −1 when there is none.
    func epochEnd(answering question: LogQuestion) -> LogAnswer {
        var answer = LogAnswer()
        guard let end = end(ofEpoch: Int32(truncatingIfNeeded: question.value)) else { return answer }
        answer.leaderEpoch = end.epoch
        answer.offset = end.offset.rawValue
        return answer
    }
}
