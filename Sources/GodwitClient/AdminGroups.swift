// SPDX-License-Identifier: Apache-2.0
public import KafkaWire
import LogModel
import NIOCore

/// A consumer group by name and state.
public struct GroupListing: Hashable, Sendable {
    public let id: String
    /// "consumer" for groups of consumers; empty for one that only has offsets.
    public let protocolType: String
    /// By Kafka's names: Empty, PreparingRebalance, CompletingRebalance, Assigning, Reconciling, Stable, Dead.
    public let state: String
    /// "consumer" for the protocol of KIP-848, "classic" for the one before; empty when the broker does not tell.
    public let type: String
    /// The node that coordinates it.
    public let coordinator: Int32
}

/// The groups of a cluster, as far as its nodes answered.
public struct GroupList: Sendable {
    /// In order of their names.
    public let groups: [GroupListing]
    /// Nodes whose groups are missing, with the reason.
    public let missing: [(node: Int32, why: ClientError)]
}

/// A consumer group and who is in it.
public struct GroupDescription: Sendable {
    public struct Member: Sendable {
        public let id: String
        /// Of a static member.
        public let instanceID: String?
        public let clientID: String
        public let host: String
        /// `nil` in a classic group.
        public let epoch: Int32?
        public let subscription: [String]
        /// What it owns, in order.
        public let assigned: [TopicPartition]
        /// What it shall own, in order; `nil` in a classic group.
        public let target: [TopicPartition]?
        /// Whether it speaks the classic protocol.
        public let isClassic: Bool
    }

    public let id: String
    public let state: String
    /// "consumer" (KIP-848) or "classic".
    public let type: String
    public let protocolType: String
    /// Empty when none has been chosen.
    public let assignor: String
    /// `nil` for a classic group.
    public let epoch: Int32?
    public let coordinator: Int32
    public let members: [Member]
}

/// How far a group has come in one partition.
public struct CommittedOffset: Hashable, Sendable {
    /// The next one to read.
    public var offset: Int64
    /// −1 when unknown.
    public var leaderEpoch: Int32
    /// The committer's own words.
    public var metadata: String

    public init(offset: Int64, leaderEpoch: Int32 = -1, metadata: String = "") {
        self.offset = offset
        self.leaderEpoch = leaderEpoch
        self.metadata = metadata
    }
}

extension Admin {
    // MARK: Looking at groups

    /// All groups that the living nodes coordinate.
    ///
    /// - Parameters:
    ///   - states: by Kafka's names; empty for all.
    ///   - types: "classic", "consumer"; empty for all.
    public func listGroups(states: [String] = [], types: [String] = []) async throws(ClientError) -> GroupList {
        let nodes = try await describeCluster().nodes.filter(\.isAlive)
        var request = ListGroupsRequest()
        request.statesFilter = states
        request.typesFilter = types
        let asked = request
        let answers = await withTaskGroup(of: (Int32, Result<ListGroupsResponse, ClientError>).self) { tasks in
            for node in nodes {
                tasks.addTask { (node.id, await self.ask(node.address, asked) { ($0.error, nil) }) }
            }
            var answers: [(Int32, Result<ListGroupsResponse, ClientError>)] = []
            for await answer in tasks { answers.append(answer) }
            return answers.sorted { $0.0 < $1.0 }
        }
        var groups: [GroupListing] = []
        var missing: [(node: Int32, why: ClientError)] = []
        for (node, answer) in answers {
            switch answer {
            case .failure(let why): missing.append((node, why))
            case .success(let answer):
                groups += answer.groups.map { group in
                    GroupListing(
                        id: group.groupID, protocolType: group.protocolType, state: group.groupState,
                        type: group.groupType.lowercased(), coordinator: node)
                }
            }
        }
        if groups.isEmpty, missing.count == nodes.count, let first = missing.first { throw first.why }
        return GroupList(groups: groups.sorted { $0.id < $1.id }, missing: missing)
    }

    /// Asks one node, again while it loads its groups.
    private func ask<Request: WireRequest>(
        _ address: BrokerAddress, _ request: Request,
        verdict: @escaping @Sendable (Request.Response) -> (ErrorCode, String?)
    ) async -> Result<Request.Response, ClientError> {
        await client.onLoop { core, done in
            core.retrying(
                { finish in
                    let timeout = core.configuration.requestTimeout
                    core.connection(to: address, .control).send(request, timeout: timeout) { result in
                        finish(
                            result.flatMap { answer in
                                let (code, message) = verdict(answer)
                                if code == .none { return .success(answer) }
                                return .failure(.refused(code, subject: "\(address)", message: message))
                            })
                    }
                }, then: done)
        }
    }

    /// Describes groups of both protocols, in the order asked for. A group that does not exist is an error.
    public func describeGroups(_ ids: [String]) async throws(ClientError) -> [GroupDescription] {
        var found: [GroupDescription] = []
        for id in ids {
            if let group = try await describeConsumerGroup(id) {
                found.append(group)
            } else {
                found.append(try await describeClassicGroup(id))
            }
        }
        return found
    }

    /// `nil` when there is no such group of the new protocol; there may be a classic one.
    private func describeConsumerGroup(_ id: String) async throws(ClientError) -> GroupDescription? {
        var request = ConsumerGroupDescribeRequest()
        request.groupIDs = [id]
        let answer: (Int32, ConsumerGroupDescribeResponse)
        do throws(ClientError) {
            answer = try await askCoordinator(of: id, request) { answer in
                answer.groups.first.map { ($0.error, $0.errorMessage) } ?? (.none, nil)
            }
        } catch {
            if case .notSupported = error { return nil }
            throw error
        }
        guard let group = answer.1.groups.first else { throw .badAnswer("no description of group '\(id)'") }
        if group.error == .groupIDNotFound || group.error == .unsupportedVersion { return nil }
        guard group.error == .none else {
            throw .refused(group.error, subject: "group '\(id)'", message: group.errorMessage)
        }
        return GroupDescription(
            id: id, state: group.groupState, type: "consumer", protocolType: "consumer",
            assignor: group.assignorName, epoch: group.groupEpoch, coordinator: answer.0,
            members: group.members.map { member in
                GroupDescription.Member(
                    id: member.memberID, instanceID: member.instanceID, clientID: member.clientID,
                    host: member.clientHost, epoch: member.memberEpoch,
                    subscription: member.subscribedTopicNames
                        + (member.subscribedTopicRegex.map { $0.isEmpty ? [] : ["/\($0)/"] } ?? []),
                    assigned: Self.places(member.assignment.topicPartitions.map { ($0.topicName, $0.partitions) }),
                    target: Self.places(member.targetAssignment.topicPartitions.map { ($0.topicName, $0.partitions) }),
                    isClassic: member.memberType == 0)
            }.sorted { ($0.clientID, $0.id) < ($1.clientID, $1.id) })
    }

    private func describeClassicGroup(_ id: String) async throws(ClientError) -> GroupDescription {
        var request = DescribeGroupsRequest()
        request.groups = [id]
        let (node, answer) = try await askCoordinator(of: id, request) { answer in
            answer.groups.first.map { ($0.error, $0.errorMessage) } ?? (.none, nil)
        }
        guard let group = answer.groups.first else { throw .badAnswer("no description of group '\(id)'") }
        guard group.error == .none else {
            throw .refused(group.error, subject: "group '\(id)'", message: group.errorMessage)
        }
        // Before version 6 a group that does not exist is dead.
        guard group.groupState != "Dead" else {
            throw .refused(.groupIDNotFound, subject: "group '\(id)'", message: nil)
        }
        return GroupDescription(
            id: id, state: group.groupState, type: "classic", protocolType: group.protocolType,
            assignor: group.protocolData, epoch: nil, coordinator: node,
            members: group.members.map { member in
                let assignment = try? ConsumerProtocolAssignment.decode(member.memberAssignment).data
                let subscription = try? ConsumerProtocolSubscription.decode(member.memberMetadata).data
                return GroupDescription.Member(
                    id: member.memberID, instanceID: member.groupInstanceID, clientID: member.clientID,
                    host: member.clientHost, epoch: nil, subscription: subscription?.topics ?? [],
                    assigned: Self.places(assignment?.assignedPartitions.map { ($0.topic, $0.partitions) } ?? []),
                    target: nil, isClassic: true)
            }.sorted { ($0.clientID, $0.id) < ($1.clientID, $1.id) })
    }

    private static func places(_ topics: [(String, [Int32])]) -> [TopicPartition] {
        topics.flatMap { topic, partitions in partitions.map { TopicPartition(topic: topic, partition: $0) } }
            .sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
    }

    /// What a group waits for, from its coordinator. Only Godwit's nodes know that.
    ///
    /// - Throws: `notSupported` when the coordinator hangs up instead of answering.
    public func explainGroup(_ id: String) async throws(ClientError) -> GroupExplanation {
        var request = ExplainGroupRequest()
        request.groupIDs = [id]
        let asked = request
        let result: Result<ExplainGroupResponse, ClientError> = await client.onLoop { core, done in
            var hangUps = 0
            core.retrying(
                { finish in
                    core.tryCoordinator(of: id, asked, verdict: Self.verdict) { result in
                        if case .failure(.connectionClosed) = result {
                            hangUps += 1
                            // Once may be a node that died; a broker that does not know the question does it each time.
                            if hangUps >= 3 { return finish(.failure(.notSupported("explaining groups"))) }
                        }
                        finish(result)
                    }
                }, then: done)
        }
        guard let group = try result.get().groups.first else { throw .badAnswer("no explanation of group '\(id)'") }
        guard group.error == .none else {
            throw .refused(group.error, subject: "group '\(id)'", message: group.errorMessage)
        }
        return group
    }

    private static func verdict(_ answer: ExplainGroupResponse) -> (ErrorCode, String?) {
        answer.groups.first.map { ($0.error, $0.errorMessage) } ?? (.none, nil)
    }

    // MARK: Offsets

    /// How far a group has come, in some partitions or in all it has an offset for (`nil`). Partitions without an offset
    /// are missing from the result.
    public func fetchOffsets(
        _ group: String, _ places: [TopicPartition]? = nil
    ) async throws(ClientError) -> [TopicPartition: CommittedOffset] {
        let request = OffsetFetchRequest(group: group, places)
        let (_, answer) = try await askCoordinator(of: group, request, limit: OffsetFetchRequest.lastWithNames) {
            $0.verdict
        }
        return try answer.offsets(of: group)
    }

    /// Sets a group's offsets from outside: the group must have no members.
    ///
    /// - Throws: the first partition's error; others may have been set.
    public func commitOffsets(
        _ group: String, _ offsets: [TopicPartition: CommittedOffset]
    ) async throws(ClientError) {
        guard !offsets.isEmpty else { return }
        let request = OffsetCommitRequest(group: group, offsets)
        let (_, answer) = try await askCoordinator(of: group, request, limit: OffsetCommitRequest.lastWithNames) {
            ($0.coordinatorError, nil)
        }
        try answer.check(group)
    }

    /// Forgets a group's offsets of some partitions, of topics that it does not subscribe to.
    public func deleteOffsets(_ group: String, _ places: [TopicPartition]) async throws(ClientError) {
        guard !places.isEmpty else { return }
        var request = OffsetDeleteRequest()
        request.groupID = group
        for (name, partitions) in byTopic(places) {
            var topic = OffsetDeleteRequest.Topic()
            topic.name = name
            topic.partitions = partitions.map { index in
                var partition = OffsetDeleteRequest.Partition()
                partition.index = index
                return partition
            }
            request.topics.append(topic)
        }
        let (_, answer) = try await askCoordinator(of: group, request) { ($0.error, nil) }
        guard answer.error == .none else { throw .refused(answer.error, subject: "group '\(group)'", message: nil) }
        for topic in answer.topics {
            for partition in topic.partitions where partition.error != .none {
                throw .refused(partition.error, subject: "\(topic.name)-\(partition.index)", message: nil)
            }
        }
    }

    /// Forgets a group and its offsets. It must have no members.
    public func deleteGroup(_ id: String) async throws(ClientError) {
        var request = DeleteGroupsRequest()
        request.groups = [id]
        let (_, answer) = try await askCoordinator(of: id, request) { ($0.results.first?.error ?? .none, nil) }
        guard let result = answer.results.first else { throw .badAnswer("no answer about group '\(id)'") }
        guard result.error == .none else { throw .refused(result.error, subject: "group '\(id)'", message: nil) }
    }

    /// Asks a group's coordinator and says which node it was.
    private func askCoordinator<Request: WireRequest>(
        of group: String, _ request: Request, limit: Int16 = .max,
        verdict: @escaping @Sendable (Request.Response) -> (ErrorCode, String?)
    ) async throws(ClientError) -> (Int32, Request.Response) {
        let result: Result<(Int32, Request.Response), ClientError> = await client.onLoop { core, done in
            core.askCoordinator(of: group, request, limit: limit, verdict: verdict) { result in
                done(result.map { (core.coordinators[group]?.id ?? -1, $0) })
            }
        }
        return try result.get()
    }
}

/// Partitions by topic, both in order.
func byTopic(_ places: some Sequence<TopicPartition>) -> [(String, [Int32])] {
    Dictionary(grouping: places, by: \.topic).mapValues { $0.map(\.partition).sorted() }
        .sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
}

extension OffsetFetchRequest {
    /// From version 10 on topics go by their ids.
    static let lastWithNames: Int16 = 9

    init(group: String, _ places: [TopicPartition]?) {
        self.init()
        var asked = Group()
        asked.groupID = group
        asked.topics = places.map { places in
            byTopic(places).map { name, partitions in
                var topic = Topic()
                topic.name = name
                topic.partitions = partitions
                return topic
            }
        }
        groups = [asked]
    }
}

extension OffsetFetchResponse {
    var verdict: (ErrorCode, String?) { (groups.first?.error ?? .none, nil) }

    func offsets(of group: String) throws(ClientError) -> [TopicPartition: CommittedOffset] {
        guard let answer = groups.first else { throw .badAnswer("no offsets of group '\(group)'") }
        guard answer.error == .none else { throw .refused(answer.error, subject: "group '\(group)'", message: nil) }
        var found: [TopicPartition: CommittedOffset] = [:]
        for topic in answer.topics {
            for partition in topic.partitions {
                let place = TopicPartition(topic: topic.name, partition: partition.index)
                guard partition.error == .none else {
                    throw .refused(partition.error, subject: "\(place)", message: nil)
                }
                guard partition.committedOffset >= 0 else { continue }
                found[place] = CommittedOffset(
                    offset: partition.committedOffset, leaderEpoch: partition.committedLeaderEpoch,
                    metadata: partition.metadata ?? "")
            }
        }
        return found
    }
}

extension OffsetCommitRequest {
    /// From version 10 on topics go by their ids.
    static let lastWithNames: Int16 = 9

    init(group: String, _ offsets: [TopicPartition: CommittedOffset]) {
        self.init()
        groupID = group
        topics = byTopic(offsets.keys).map { name, partitions in
            var topic = Topic()
            topic.name = name
            topic.partitions = partitions.map { index in
                var partition = Partition()
                partition.index = index
                guard let offset = offsets[TopicPartition(topic: name, partition: index)] else { return partition }
                partition.committedOffset = offset.offset
                partition.committedLeaderEpoch = offset.leaderEpoch
                partition.committedMetadata = offset.metadata
                return partition
            }
            return topic
        }
    }
}

extension OffsetCommitResponse {
    /// An error of the coordinator stands at every partition.
    var coordinatorError: ErrorCode {
        topics.lazy.flatMap(\.partitions).map(\.error).first(where: \.meansCoordinatorMoved) ?? .none
    }

    func check(_ group: String) throws(ClientError) {
        for topic in topics {
            for partition in topic.partitions where partition.error != .none {
                throw .refused(
                    partition.error, subject: "group '\(group)', \(topic.name)-\(partition.index)", message: nil)
            }
        }
    }
}
