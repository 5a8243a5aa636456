// SPDX-License-Identifier: Apache-2.0

public import KafkaWire
public import LogModel
import MetadataCore
public import NIOCore
import Replication
public import Settings

/// What planning needs to know beside the cluster's state.
public struct PlanningContext: Sendable {
    public var settings: TopicSettings
    public var defaults: TopicDefaults
    /// Nodes that are alive, and so may get replicas.
    public var usable: [NodeID]
    /// Those that form the cluster, as the configuration says.
    public var founders: [NodeID]
    /// Where the round of placements begins.
    public var seed: UInt64

    public init(
        settings: TopicSettings, defaults: TopicDefaults, usable: [NodeID], founders: [NodeID] = [], seed: UInt64
    ) {
        self.settings = settings
        self.defaults = defaults
        self.usable = usable
        self.founders = founders
        self.seed = seed
    }
}

extension Controller {
    /// Answers a forwarded admin request with a whole response frame; `nil` when this node is not the controller, does
    /// not know yet what the one before it has decided, or the request is none that a controller answers.
    public func answer(_ frame: ByteBuffer, in context: PlanningContext, reply: @escaping (ByteBuffer?) -> Void) {
        guard let replica, replica.highWatermark != nil else { return reply(nil) }
        /// What is only looked at, and goes through no log, is told by the controller of this moment and nobody else.
        func onceConfirmed(_ answer: @escaping () -> Void) {
            replica.confirmLeadership { isLeader in
                if isLeader { answer() } else { reply(nil) }
            }
        }
        var body = frame
        do throws(WireError) {
            let header = try RequestHeader.decode(from: &body)
            switch header.apiKey {
            case .createTopics:
                let request = try CreateTopicsRequest.decode(body, version: header.version)
                createTopics(request, isOwn: header.clientID == ControllerRequest.ownClientID, in: context) {
                    Self.encode($0, header, reply)
                }
            case .deleteTopics:
                let request = try DeleteTopicsRequest.decode(body, version: header.version)
                deleteTopics(request, version: header.version) { Self.encode($0, header, reply) }
            case .createPartitions:
                let request = try CreatePartitionsRequest.decode(body, version: header.version)
                createPartitions(request, in: context) { Self.encode($0, header, reply) }
            case .incrementalAlterConfigs:
                let request = try IncrementalAlterConfigsRequest.decode(body, version: header.version)
                alterConfigs(request, in: context) { Self.encode($0, header, reply) }
            case .alterConfigs:
                let request = try AlterConfigsRequest.decode(body, version: header.version)
                alterConfigs(request, in: context) { Self.encode($0, header, reply) }
            case .alterPartitionReassignments:
                let request = try AlterPartitionReassignmentsRequest.decode(body, version: header.version)
                alterReassignments(request) { Self.encode($0, header, reply) }
            case .listPartitionReassignments:
                let request = try ListPartitionReassignmentsRequest.decode(body, version: header.version)
                onceConfirmed { Self.encode(self.reassignments(request), header, reply) }
            case .balanceCluster:
                let request = try BalanceClusterRequest.decode(body, version: header.version)
                onceConfirmed { self.balance(request, in: context) { Self.encode($0, header, reply) } }
            case .describeQuorum:
                let request = try DescribeQuorumRequest.decode(body, version: header.version)
                onceConfirmed { Self.encode(self.quorum(request), header, reply) }
            case .addRaftVoter:
                let request = try AddRaftVoterRequest.decode(body, version: header.version)
                addVoter(request) { Self.encode($0, header, reply) }
            case .removeRaftVoter:
                let request = try RemoveRaftVoterRequest.decode(body, version: header.version)
                removeVoter(request) { Self.encode($0, header, reply) }
            default:
                reply(nil)
            }
        } catch {
            reply(nil)
        }
    }

    static func encode(
        _ response: some WireResponse, _ header: RequestHeader, _ reply: (ByteBuffer?) -> Void
    ) {
        do throws(WireError) {
            reply(try response.encodeFrame(correlationID: header.correlationID, version: header.version).bytes)
        } catch {
            reply(nil)
        }
    }

    // MARK: - CreateTopics (API key 19)

    private func createTopics(
        _ request: CreateTopicsRequest, isOwn: Bool, in context: PlanningContext,
        done: @escaping (CreateTopicsResponse) -> Void
    ) {
        let asked = request.topics.map { topic in
            TopicRequest(
                name: topic.name, partitions: topic.partitionCount, replicationFactor: topic.replicationFactor,
                assignments: topic.assignments.map { .init(partition: $0.partitionIndex, replicas: $0.brokerIDs) },
                configs: topic.configs.map { .init(name: $0.name, value: $0.value) })
        }
        let plans = state.planTopics(
            asked, settings: context.settings, usable: context.usable, founders: context.founders, seed: context.seed,
            mayBeInternal: isOwn)
        let round = ProposalRound(response: CreateTopicsResponse(), done: done)
        for (topic, plan) in zip(request.topics, plans) {
            var answer = CreateTopicsResponse.Topic()
            var proposal: MetadataCommand?
            answer.name = topic.name
            switch plan {
            case .failure(let refusal):
                answer.error = ErrorCode(refusal.kind)
                answer.errorMessage = refusal.message
            case .success(let planned):
                answer.partitionCount = Int32(planned.partitions.count)
                answer.replicationFactor = Int16(planned.replicationFactor)
                answer.configs = planned.configs.described(context.defaults).map { described in
                    var shown = CreateTopicsResponse.Config()
                    shown.name = described.config.name
                    shown.value = described.value
                    shown.isReadOnly = described.isReadOnly
                    shown.source = described.isDefault ? .builtInDefault : .dynamicTopic
                    return shown
                }
                if !request.validateOnly {
                    let id = newTopicID()
                    answer.id = id
                    proposal = planned.command(id: id, created: shard.environment.wallClock)
                }
            }
            add(answer, to: \.topics, of: round, proposing: proposal)
        }
        round.settle { _ in }
    }

    // MARK: - DeleteTopics (API key 20)

    private func deleteTopics(
        _ request: DeleteTopicsRequest, version: Int16, done: @escaping (DeleteTopicsResponse) -> Void
    ) {
        let asked: [(name: String?, id: TopicID)] =
            version >= 6
            ? request.topics.map { ($0.name, $0.id) } : request.topicNames.map { ($0, TopicID.zero) }
        let round = ProposalRound(response: DeleteTopicsResponse(), done: done)
        for (name, id) in asked {
            var answer = DeleteTopicsResponse.Topic()
            var proposal: MetadataCommand?
            answer.name = name
            answer.id = id
            switch state.topicToDelete(name: name, id: id) {
            case .failure(let refusal):
                answer.error = name == nil && refusal.kind == .unknownTopic ? .unknownTopicID : ErrorCode(refusal.kind)
                answer.errorMessage = refusal.message
            case .success(let topic):
                answer.name = topic.name.rawValue
                answer.id = topic.id
                proposal = .deleteTopic(topic.id)
            }
            add(answer, to: \.topics, of: round, proposing: proposal)
        }
        round.settle { _ in }
    }

    // MARK: - CreatePartitions (API key 37)

    private func createPartitions(
        _ request: CreatePartitionsRequest, in context: PlanningContext,
        done: @escaping (CreatePartitionsResponse) -> Void
    ) {
        let asked = request.topics.map { topic in
            PartitionsRequest(
                name: topic.name, count: topic.count, assignments: topic.assignments.map { $0.map(\.brokerIDs) })
        }
        let plans = state.planPartitions(
            asked, settings: context.settings, usable: context.usable, seed: context.seed)
        let round = ProposalRound(response: CreatePartitionsResponse(), done: done)
        for (topic, plan) in zip(request.topics, plans) {
            var answer = CreatePartitionsResponse.Result()
            var proposal: MetadataCommand?
            answer.name = topic.name
            switch plan {
            case .failure(let refusal):
                answer.error = ErrorCode(refusal.kind)
                answer.errorMessage = refusal.message
            case .success(let added):
                if !request.validateOnly { proposal = .createPartitions(added) }
            }
            add(answer, to: \.results, of: round, proposing: proposal)
        }
        round.settle { _ in }
    }

    /// Puts a part into the answer, and proposes what it is about, if anything: in this order, because a proposal may
    /// fail at once, as while leadership is being handed over.
    func add<Response, Part: ProposalAnswer>(
        _ part: Part, to parts: WritableKeyPath<Response, [Part]>, of round: ProposalRound<Response>,
        proposing proposal: MetadataCommand?
    ) {
        let place = round.response[keyPath: parts].count
        round.response[keyPath: parts].append(part)
        guard let proposal else { return }
        round.expect()
        propose(proposal) { result in
            round.settle { $0[keyPath: parts][place].note(result) }
        }
    }
}

/// Several proposals of one request: answers when the last is settled.
final class ProposalRound<Response> {
    var response: Response
    private var outstanding = 1
    private let done: (Response) -> Void

    init(response: Response, done: @escaping (Response) -> Void) {
        self.response = response
        self.done = done
    }

    func expect() { outstanding += 1 }

    func settle(_ change: (inout Response) -> Void) {
        change(&response)
        outstanding -= 1
        if outstanding == 0 { done(response) }
    }
}

/// A part of an admin response that can carry why its proposal failed.
protocol ProposalAnswer {
    var error: ErrorCode { get set }
    var errorMessage: String? { get set }
}

extension ProposalAnswer {
    mutating func note(_ result: Result<Void, ProposalFailure>) {
        guard case .failure(let failure) = result else { return }
        error = ErrorCode(failure)
        errorMessage = failure.explanation
    }
}

extension CreateTopicsResponse.Topic: ProposalAnswer {}
extension DeleteTopicsResponse.Topic: ProposalAnswer {}
extension CreatePartitionsResponse.Result: ProposalAnswer {}
