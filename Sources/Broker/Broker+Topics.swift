// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Replication

/// A CreateTopics answer that is held back until clients can use the topics.
///
/// Kafka waits likewise, up to the request's timeout, so that what was created can be written to at once.
final class CreationWait<Environment: ShardEnvironment> {
    let deadline: Moment
    private let topics: [TopicID]
    private let broker: Broker<Environment>
    private let done: () -> Void

    init(_ topics: [TopicID], until deadline: Moment, broker: Broker<Environment>, done: @escaping () -> Void) {
        self.topics = topics
        self.deadline = deadline
        self.broker = broker
        self.done = done
    }

    /// Whether every partition of every topic has a leader here.
    func isReady(in view: ClusterView) -> Bool {
        topics.allSatisfy { id in
            guard let topic = view.topic(id: id) else { return false }
            return topic.partitions.indices.allSatisfy {
                view.leader(of: PartitionID(topic: id, index: Int32($0))) != nil
            }
        }
    }

    func finish() {
        broker.waitingCreations.removeAll { $0 === self }
        done()
    }
}

extension Broker {
    /// How long the answer to CreateTopics waits at most for the new partitions' leaders.
    private static var creationWait: UInt64 { 2_000_000_000 }

    func createTopics(_ call: Call<Files>) throws(WireError) {
        let request = try CreateTopicsRequest.decode(call.body, version: call.version)
        let frame = try request.encodeFrame(
            correlationID: call.header.correlationID, clientID: nil, version: call.version
        ).bytes
        administer(frame) { reply in
            guard let reply else { return call.reply(Self.unreached(request)) }
            self.whenUsable(reply, call) { call.relay(reply) }
        }
    }

    private func whenUsable(_ reply: ByteBuffer, _ call: Call<Files>, _ done: @escaping () -> Void) {
        // Topic ids came with version 7; below, whoever asked finds out by asking for metadata.
        var body = reply
        body.moveReaderIndex(forwardBy: 4)
        guard let _ = try? ResponseHeader.decode(from: &body, apiKey: .createTopics, version: call.version),
            let response = try? CreateTopicsResponse.decode(body, version: call.version)
        else { return done() }
        let created = response.topics.filter { $0.error == .none && $0.id != .zero }.map(\.id)
        let wait = CreationWait(
            created, until: environment.now.advanced(byNanoseconds: Self.creationWait), broker: self, done: done)
        guard !created.isEmpty, !wait.isReady(in: view) else { return done() }
        waitingCreations.append(wait)
        environment.wake(at: wait.deadline)
    }

    func deleteTopics(_ call: Call<Files>) throws(WireError) {
        let request = try DeleteTopicsRequest.decode(call.body, version: call.version)
        let frame = try request.encodeFrame(
            correlationID: call.header.correlationID, clientID: nil, version: call.version
        ).bytes
        administer(frame) { reply in
            if let reply { call.relay(reply) } else { call.reply(Self.unreached(request, version: call.version)) }
        }
    }

    func createPartitions(_ call: Call<Files>) throws(WireError) {
        let request = try CreatePartitionsRequest.decode(call.body, version: call.version)
        let frame = try request.encodeFrame(
            correlationID: call.header.correlationID, clientID: nil, version: call.version
        ).bytes
        administer(frame) { reply in
            if let reply { call.relay(reply) } else { call.reply(Self.unreached(request)) }
        }
    }

    /// Sends an admin request, which was decoded and so is sound, to the controller.
    func administer(_ lengthPrefixed: ByteBuffer, reply: @escaping (ByteBuffer?) -> Void) {
        guard let controller else { return reply(nil) }
        var frame = lengthPrefixed
        frame.moveReaderIndex(forwardBy: 4)
        controller.administer(frame, reply: reply)
    }

    // MARK: - When no controller answers

    static var unreachedMessage: String { "the cluster has no controller that answers; ask again" }

    private static func unreached(_ request: CreateTopicsRequest) -> CreateTopicsResponse {
        var response = CreateTopicsResponse()
        response.topics = request.topics.map { topic in
            var answer = CreateTopicsResponse.Topic()
            answer.name = topic.name
            answer.error = .requestTimedOut
            answer.errorMessage = unreachedMessage
            return answer
        }
        return response
    }

    private static func unreached(_ request: DeleteTopicsRequest, version: Int16) -> DeleteTopicsResponse {
        var response = DeleteTopicsResponse()
        let asked = version >= 6 ? request.topics.map { ($0.name, $0.id) } : request.topicNames.map { ($0, .zero) }
        response.topics = asked.map { name, id in
            var answer = DeleteTopicsResponse.Topic()
            answer.name = name
            answer.id = id
            answer.error = .requestTimedOut
            answer.errorMessage = unreachedMessage
            return answer
        }
        return response
    }

    private static func unreached(_ request: CreatePartitionsRequest) -> CreatePartitionsResponse {
        var response = CreatePartitionsResponse()
        response.results = request.topics.map { topic in
            var answer = CreatePartitionsResponse.Result()
            answer.name = topic.name
            answer.error = .requestTimedOut
            answer.errorMessage = unreachedMessage
            return answer
        }
        return response
    }
}
