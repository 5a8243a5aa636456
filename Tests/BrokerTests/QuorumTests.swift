// SPDX-License-Identifier: Apache-2.0

import Broker
import KafkaWire
import LogModel
import MetadataCore
import NIOCore
import Replication
import Settings
import Testing

@Suite struct DescribeQuorumTests {
    private func ask(_ name: String, _ index: Int32) -> DescribeQuorumRequest {
        var request = DescribeQuorumRequest()
        var topic = DescribeQuorumRequest.Topic()
        topic.name = name
        var partition = DescribeQuorumRequest.Partition()
        partition.index = index
        topic.partitions = [partition]
        request.topics = [topic]
        return request
    }

    @Test(arguments: DescribeQuorumRequest.versions)
    func theLeaderSaysWhoVotesAndHowFarTheyAre(version: Int16) throws {
        let one = try OneController.withFourNodes()
        let answer = try one.answer(ask("__cluster_metadata", 0), version: version)
        let partition = try #require(answer.topics.first?.partitions.first)
        #expect(answer.error == .none && partition.error == .none)
        #expect(partition.leaderID == 1 && partition.leaderEpoch == 1)
        // The cluster, four nodes and a topic.
        #expect(partition.highWatermark == 6 && partition.observers.isEmpty)
        let voter = try #require(partition.voters.first)
        #expect(partition.voters.count == 1 && voter.id == 1 && voter.logEndOffset == 6)
        if version >= 1 {
            #expect(voter.lastFetchTimestamp == 1_700_000_000_000)
            #expect(voter.lastCaughtUpTimestamp == 1_700_000_000_000)
        }
        if version >= 2 {
            #expect(voter.directoryID == TopicID(high: 1, low: 1))
            #expect(answer.nodes.map(\.id) == [1] && answer.nodes.first?.listeners.first?.host == "h")
        }
    }

    @Test func otherTopicsHaveNoQuorum() throws {
        let one = try OneController.withFourNodes()
        for (name, index) in [("events", 0), ("__cluster_metadata", 1)] as [(String, Int32)] {
            let answer = try one.answer(ask(name, index), version: 2)
            #expect(answer.topics.first?.partitions.map(\.error) == [.unknownTopicOrPartition])
        }
    }
}

@Suite struct RaftVoterTests {
    private func add(_ id: Int32, directory: UInt64? = nil, cluster: String? = nil) -> AddRaftVoterRequest {
        var request = AddRaftVoterRequest()
        (request.clusterID, request.voterID, request.timeout) = (cluster, id, 1_000)
        request.directoryID = TopicID(high: directory ?? UInt64(max(id, 0)), low: 1)
        return request
    }

    private func remove(_ id: Int32, directory: UInt64? = nil, cluster: String? = nil) -> RemoveRaftVoterRequest {
        var request = RemoveRaftVoterRequest()
        (request.clusterID, request.voterID) = (cluster, id)
        request.directoryID = TopicID(high: directory ?? UInt64(max(id, 0)), low: 1)
        return request
    }

    @Test func inconsistentClusterId() throws {
        let one = try OneController.withFourNodes()
        #expect(try one.answer(add(2, cluster: "other"), version: 1).error == .inconsistentClusterID)
        #expect(try one.answer(remove(1, cluster: "other"), version: 0).error == .inconsistentClusterID)
    }

    @Test func invalidRequest() throws {
        let one = try OneController.withFourNodes()
        var nobody = add(2)
        nobody.directoryID = .zero
        #expect(try one.answer(nobody, version: 1).error == .invalidRequest)
        #expect(try one.answer(add(-1), version: 1).error == .invalidRequest)
        #expect(try one.answer(add(9), version: 1).error == .invalidRequest, "it has not joined")
        _ = one.propose(.setNodeState(NodeID(3), .draining))
        #expect(try one.answer(add(3), version: 1).error == .invalidRequest, "it is being emptied")
        #expect(try one.answer(remove(-1), version: 0).error == .invalidRequest)
        #expect(try one.answer(remove(1), version: 0).error == .invalidRequest, "it is the last one")
    }

    @Test func invalidVoterKey() throws {
        let one = try OneController.withFourNodes()
        let answer = try one.answer(add(2, directory: 77), version: 1)
        #expect(answer.error == .invalidVoterKey && answer.errorMessage?.contains("node 2") == true)
    }

    @Test func duplicateVoter() throws {
        let one = try OneController.withFourNodes()
        let cluster = one.controller.state.clusterID?.description
        #expect(try one.answer(add(1, cluster: cluster), version: 1).error == .duplicateVoter)
    }

    @Test func voterNotFound() throws {
        let one = try OneController.withFourNodes()
        #expect(try one.answer(remove(2), version: 0).error == .voterNotFound)
        #expect(try one.answer(remove(1, directory: 9), version: 0).error == .voterNotFound)
    }

    @Test func aWishIsRememberedAndAnsweredAtOnceWhenNobodyWantsToWait() throws {
        let one = try OneController.withFourNodes()
        var request = add(2)
        request.acknowledgesWhenCommitted = false
        #expect(try one.answer(request, version: 1).error == .none)
        #expect(one.controller.state.voterWishes == [WishedVoter(id: NodeID(2), wish: .voter)])
    }

    @Test func whatIsNotInForceInTimeIsSaidToBeLate() throws {
        let one = try OneController.withFourNodes()
        var frame = try add(2).encodeFrame(correlationID: 3, clientID: nil, version: 1).bytes
        frame.moveReaderIndex(forwardBy: 4)
        var answer: ByteBuffer?
        one.controller.answer(frame, in: one.context) { answer = $0 }
        one.node.settle()
        #expect(answer == nil)
        one.node.pass(milliseconds: 1_100)
        one.controller.pace(usable: [], perNode: 1)
        var body = try #require(answer)
        body.moveReaderIndex(forwardBy: 4)
        _ = try ResponseHeader.decode(from: &body, apiKey: .addRaftVoter, version: 1)
        #expect(try AddRaftVoterResponse.decode(body, version: 1).error == .requestTimedOut)
    }
}

/// Remembers whom it was asked to have lead.
private final class TransferringController: ControllerAccess {
    var transfers: [(partition: PartitionID, leader: NodeID, heir: NodeID)] = []

    func administer(_ frame: ByteBuffer, reply: @escaping (ByteBuffer?) -> Void) { reply(nil) }
    func producerID(reply: @escaping (Int64?) -> Void) { reply(nil) }
    func transferLeadership(of partition: PartitionID, from leader: NodeID, to heir: NodeID) {
        transfers.append((partition, leader, heir))
    }
}

@Suite struct ElectLeadersTests {
    /// Partitions that nodes 1 and 2 keep and that 2 would rather lead.
    private func node(partitions: Int = 1, alive: [Int32] = [1, 2]) throws -> (OneNode, TopicID, TransferringController)
    {
        let node = try OneNode()
        let controller = TransferringController()
        node.broker.controller = controller
        node.apply(
            .registerNode(
                NodeRegistration(
                    id: NodeID(2), kafka: .init(host: "h", port: 1), peer: .init(host: "h", port: 2), rack: nil,
                    directory: DirectoryID(high: 1, low: 2))))
        let id = TopicID(high: 9, low: 9)
        node.apply(
            .createTopic(
                NewTopic(
                    id: id, name: try TopicName("events"),
                    partitions: Array(
                        repeating: PartitionPlacement(replicas: [NodeID(2), NodeID(1)]), count: partitions),
                    configs: .init(), created: Timestamp(milliseconds: 1))))
        node.broker.update { view in
            view.replace(alive: alive.map { NodeID($0) })
            for index in 0..<partitions {
                view.note(PartitionID(topic: id, index: Int32(index)), term: Term(1), leader: NodeID(1))
            }
        }
        return (node, id, controller)
    }

    private func request(
        _ partitions: [Int32]?, topic: String = "events", type: Int8 = 0, timeout: Int32 = 1_000
    ) -> ElectLeadersRequest {
        var request = ElectLeadersRequest()
        (request.electionType, request.timeout) = (type, timeout)
        request.topics = partitions.map { partitions in
            var asked = ElectLeadersRequest.Topic()
            (asked.name, asked.partitions) = (topic, partitions)
            return [asked]
        }
        return request
    }

    @Test(arguments: ElectLeadersRequest.versions)
    func theAnswerWaitsUntilThePreferredLeaderLeads(version: Int16) throws {
        let (node, id, controller) = try node()
        let asked = try node.begin(request([0]), version: version)
        node.settle()
        #expect(!asked.isAnswered)
        #expect(controller.transfers.map(\.leader) == [NodeID(1)] && controller.transfers.map(\.heir) == [NodeID(2)])
        node.broker.update { $0.note(PartitionID(topic: id, index: 0), term: Term(2), leader: NodeID(2)) }
        #expect(asked.response?.topics.first?.partitions.map(\.error) == [.none])
    }

    @Test func preferredLeaderNotAvailable() throws {
        let (down, _, controller) = try node(alive: [1])
        let answer = try down.ask(request([0]), version: 2)
        #expect(answer.topics.first?.partitions.map(\.error) == [.preferredLeaderNotAvailable])
        #expect(controller.transfers.isEmpty)
        let (slow, _, _) = try node()
        let asked = try slow.begin(request([0]), version: 2)
        slow.pass(milliseconds: 1_100)
        #expect(asked.response?.topics.first?.partitions.map(\.error) == [.preferredLeaderNotAvailable])
    }

    @Test func electionNotNeeded() throws {
        let (node, id, _) = try node(partitions: 2)
        node.broker.update { $0.note(PartitionID(topic: id, index: 1), term: Term(2), leader: NodeID(2)) }
        let answer = try node.ask(request([1]), version: 2)
        #expect(answer.topics.first?.partitions.map(\.error) == [.electionNotNeeded])
        // Asked about all, those that need none are left out.
        let all = try node.begin(request(nil), version: 2)
        node.pass(milliseconds: 1_100)
        #expect(all.response?.topics.first?.partitions.map(\.index) == [0])
        // A partition that is led needs no unclean election.
        #expect(try node.ask(request([0], type: 1), version: 1).topics[0].partitions[0].error == .electionNotNeeded)
    }

    @Test func unknownTopicOrPartition() throws {
        let (node, _, _) = try node()
        let missing = try node.ask(request([0], topic: "missing"), version: 2)
        #expect(missing.topics.first?.partitions.map(\.error) == [.unknownTopicOrPartition])
        let beyond = try node.ask(request([1, -1]), version: 2)
        #expect(beyond.topics.first?.partitions.map(\.error) == [.unknownTopicOrPartition, .unknownTopicOrPartition])
    }

    @Test func eligibleLeadersNotAvailableBecauseNobodyIsElectedUncleanly() throws {
        let (node, _, controller) = try node(alive: [2])
        let answer = try node.ask(request([0], type: 1), version: 2)
        #expect(answer.topics.first?.partitions.map(\.error) == [.eligibleLeadersNotAvailable])
        #expect(controller.transfers.isEmpty)
    }

    @Test func invalidRequestForAnUnknownKindOfElection() throws {
        let (node, _, _) = try node()
        #expect(try node.ask(request([0], type: 2), version: 2).error == .invalidRequest)
    }
}
