// SPDX-License-Identifier: Apache-2.0

import LogModel
import MetadataCore
import Settings
import Testing

@Suite struct MoveTests {
    private static let first = PartitionID(topic: topicID(1), index: 0)

    private static func state(_ nodes: Int32 = 6) -> ClusterState {
        var state = ClusterState.formed(nodes: nodes)
        state.apply(newTopic("events", id: 1, placements([1, 2, 3], [2, 3, 1])))
        return state
    }

    private func placement(_ state: ClusterState) throws -> PartitionPlacement {
        try #require(state.placement(of: Self.first))
    }

    @Test func aMoveIsAWishUntilTheVotersAreTheWantedOnes() throws {
        var state = Self.state()
        #expect(state.apply(.reassign([move(1, 0, [4, 2, 5])])) == .placementsChanged([Self.first]))
        var now = try placement(state)
        #expect(now.replicas == nodes(1, 2, 3) && now.target == nodes(4, 2, 5) && now.wanted == nodes(4, 2, 5))
        #expect(now.adding == nodes(4, 5) && now.removing == nodes(1, 3) && now.isMoving)
        #expect(now.hosts == nodes(4, 2, 5, 1, 3) && now.founders == nodes(1, 2, 3))
        #expect(nodes(1, 2, 3, 4, 5).allSatisfy { now.isKept(by: $0) } && !now.isKept(by: NodeID(6)))
        #expect(state.movingPartitions == [Self.first] && state.partitions(on: NodeID(4)) == [Self.first])
        let early = state.apply(.completeReassignment(Self.first, nodes(1, 2, 3)))
        #expect(early == .refused(.votersNotWanted(Self.first)))
        #expect(
            state.apply(.completeReassignment(Self.first, nodes(2, 4, 5))) == .placementsChanged([Self.first]))
        now = try placement(state)
        #expect(now.replicas == nodes(4, 2, 5) && now.target == nil && !now.isMoving && now.hosts == now.replicas)
        #expect(state.apply(.completeReassignment(Self.first, nodes(5, 2, 4))) == .nothing, "said twice")
        #expect(state.movingCount == 0 && state.partitions(on: NodeID(1)).map(\.index) == [1])
    }

    /// A node that comes back with an empty disk must not take itself for a voter of a log that begins anew.
    @Test func afterAMoveNobodyIsToldWhoTheFoundersWere() throws {
        var state = Self.state()
        state.apply(.reassign([move(1, 0, [4, 5, 6])]))
        state.apply(.completeReassignment(Self.first, nodes(4, 5, 6)))
        #expect(try placement(state).founders.isEmpty)
        state.apply(.reassign([move(1, 0, [1, 2, 3])]))
        #expect(try placement(state).founders.isEmpty)
        #expect(state.placement(of: PartitionID(topic: topicID(1), index: 1))?.founders == nodes(2, 3, 1))
    }

    /// The new nodes may have got votes already: they keep their copies until the leader says that nobody counts on
    /// them.
    @Test func whoWasWantedKeepsItsCopyAfterACancelUntilItSurelyHasNoVote() throws {
        var state = Self.state()
        state.apply(.reassign([move(1, 0, [4, 5, 6])]))
        #expect(state.apply(.reassign([move(1, 0, nil)])) == .placementsChanged([Self.first]))
        var now = try placement(state)
        #expect(now.target == nil && now.wanted == nodes(1, 2, 3) && now.leaving == nodes(4, 5, 6) && now.isMoving)
        #expect(now.hosts == nodes(1, 2, 3, 4, 5, 6) && now.removing == nodes(4, 5, 6) && now.adding.isEmpty)
        #expect(state.apply(.reassign([move(1, 0, nil)])) == .refused(.noReassignmentInProgress(Self.first)))
        let late = state.apply(.completeReassignment(Self.first, nodes(4, 5, 6)))
        #expect(late == .refused(.votersNotWanted(Self.first)), "the first wish came true too late")
        state.apply(.completeReassignment(Self.first, nodes(3, 2, 1)))
        now = try placement(state)
        #expect(now == PartitionPlacement(replicas: nodes(1, 2, 3)))
    }

    @Test func aSecondWishTakesTheFirstOnesPlace() throws {
        var state = Self.state()
        state.apply(.reassign([move(1, 0, [4, 5, 1])]))
        state.apply(.reassign([move(1, 0, [2, 6, 5])]))
        let now = try placement(state)
        #expect(now.target == nodes(2, 6, 5) && now.leaving == nodes(4))
        #expect(now.adding == nodes(5, 6) && now.removing == nodes(1, 3, 4))
        state.apply(.reassign([move(1, 0, [3, 2, 1])]))
        let back = try placement(state)
        #expect(back.replicas == nodes(3, 2, 1) && back.target == nil && back.leaving == nodes(4, 5, 6))
        #expect(state.movingCount == 1)
    }

    @Test func theSameNodesInAnotherOrderAreInForceAtOnce() throws {
        var state = Self.state()
        #expect(state.apply(.reassign([move(1, 0, [3, 1, 2])])) == .placementsChanged([Self.first]))
        let now = try placement(state)
        #expect(now.replicas == nodes(3, 1, 2) && !now.isMoving && now.preferredLeader == NodeID(3))
        #expect(state.apply(.reassign([move(1, 0, [3, 1, 2])])) == .nothing)
        #expect(try ClusterState(snapshot: state.encodeSnapshot()) == state)
    }

    @Test func whatCannotBeIsRefusedAsAWhole() {
        var state = Self.state()
        let before = state
        let fine = move(1, 1, [4, 5, 6])
        func refusal(_ moves: PartitionMove...) -> MetadataChange { state.apply(.reassign(moves)) }
        #expect(refusal(fine, move(1, 0, [])) == .refused(.invalidPlacement))
        #expect(refusal(fine, move(1, 0, [4, 4])) == .refused(.invalidPlacement))
        #expect(refusal(fine, move(1, 0, [4, 7])) == .refused(.unknownNode(NodeID(7))))
        #expect(refusal(fine, fine) == .refused(.invalidPlacement))
        #expect(refusal() == .refused(.invalidPlacement))
        #expect(refusal(fine, move(1, 0, nil)) == .refused(.noReassignmentInProgress(Self.first)))
        let beyond = move(1, 2, [4])
        #expect(refusal(fine, beyond) == .refused(.unknownPartition(beyond.partition)))
        let missing = move(9, 0, [4])
        #expect(refusal(fine, missing) == .refused(.unknownPartition(missing.partition)))
        #expect(
            state.apply(.completeReassignment(beyond.partition, nodes(1)))
                == .refused(.unknownPartition(beyond.partition)))
        #expect(state.says(sameAs: before))
    }

    @Test func aTopicTakesItsMovesWithIt() {
        var state = Self.state()
        state.apply(.reassign([move(1, 0, [4, 5, 6]), move(1, 1, [4, 5, 6])]))
        #expect(state.movingCount == 2)
        state.apply(.deleteTopic(topicID(1)))
        #expect(state.movingCount == 0 && state.movingPartitions.isEmpty)
    }

    // MARK: - Nodes

    @Test func aNodeIsEmptiedBeforeItLeaves() {
        var state = Self.state()
        #expect(state.state(of: NodeID(1)) == .active && state.state(of: NodeID(9)) == nil)
        #expect(state.apply(.setNodeState(NodeID(1), .draining)) == .nodeStateChanged(NodeID(1), .draining))
        #expect(state.apply(.setNodeState(NodeID(1), .draining)) == .nothing)
        #expect(state.apply(.setNodeState(NodeID(9), .draining)) == .refused(.unknownNode(NodeID(9))))
        #expect(state.state(of: NodeID(1)) == .draining && state.drainingNodes == nodes(1))
        #expect(state.apply(.removeNode(NodeID(1))) == .refused(.nodeKeepsReplicas(NodeID(1), count: 2)))
        state.apply(.reassign([move(1, 0, [4, 2, 3]), move(1, 1, [2, 3, 4])]))
        #expect(state.apply(.removeNode(NodeID(1))) == .refused(.nodeKeepsReplicas(NodeID(1), count: 2)))
        #expect(state.apply(.removeNode(NodeID(4))) == .refused(.nodeKeepsReplicas(NodeID(4), count: 2)))
        for index in [0, 1] as [Int32] {
            state.apply(.completeReassignment(PartitionID(topic: topicID(1), index: index), nodes(2, 3, 4)))
        }
        #expect(state.apply(.removeNode(NodeID(1))) == .nodeRemoved(registration(1)))
        #expect(state.node(NodeID(1)) == nil && state.drainingNodes.isEmpty)
        #expect(state.apply(.removeNode(NodeID(1))) == .refused(.unknownNode(NodeID(1))))
    }

    @Test func aRemovedNodeComesBackOnlyWithAnotherDirectory() {
        var state = Self.state()
        state.apply(.removeNode(NodeID(6)))
        #expect(state.removedNodes == [RemovedNode(id: NodeID(6), directory: registration(6).directory)])
        #expect(state.apply(.registerNode(registration(6))) == .refused(.nodeWasRemoved(NodeID(6))))
        let anew = registration(6, disk: 2)
        #expect(state.apply(.registerNode(anew)) == .nodeRegistered(anew, previous: nil))
        #expect(state.state(of: NodeID(6)) == .active)
    }

    @Test func onlySoManyRemovedNodesAreRemembered() {
        var state = ClusterState.formed(nodes: 1)
        for disk in 1...1_005 as ClosedRange<UInt64> {
            state.apply(.registerNode(registration(2, disk: disk)))
            state.apply(.removeNode(NodeID(2)))
        }
        #expect(state.removedNodes.count == 1_000)
        #expect(state.removedNodes.first?.directory.high == 6 && state.removedNodes.last?.directory.high == 1_005)
    }

    @Test func whoShallVoteIsRememberedUntilItIsTakenBackOrTheNodeLeaves() {
        var state = Self.state()
        #expect(state.apply(.wishVoter(NodeID(5), .voter)) == .voterWished(NodeID(5), .voter))
        #expect(state.apply(.wishVoter(NodeID(5), .voter)) == .nothing)
        #expect(state.apply(.wishVoter(NodeID(9), .voter)) == .refused(.unknownNode(NodeID(9))))
        state.apply(.wishVoter(NodeID(4), .observer))
        #expect(state.voterWishes.map(\.id) == nodes(4, 5) && state.voterWishes.map(\.wish) == [.observer, .voter])
        #expect(state.apply(.wishVoter(NodeID(4), nil)) == .voterWished(NodeID(4), nil))
        #expect(state.apply(.wishVoter(NodeID(4), nil)) == .nothing)
        state.apply(.removeNode(NodeID(5)))
        #expect(state.voterWishes.isEmpty)
    }

    // MARK: - Snapshots

    private static func busy() -> ClusterState {
        var state = Self.state()
        state.apply(newTopic("b", id: 2, placements([1], [2])))
        state.apply(.reassign([move(1, 0, [4, 5, 6]), move(2, 1, [3])]))
        state.apply(.completeReassignment(PartitionID(topic: topicID(2), index: 1), nodes(3)))
        state.apply(.reassign([move(1, 0, [4, 5, 2]), move(2, 0, [5, 4])]))
        state.apply(.setNodeState(NodeID(2), .draining))
        state.apply(.registerNode(registration(7)))
        state.apply(.removeNode(NodeID(7)))
        state.apply(.setRebalancing(true))
        state.apply(.wishVoter(NodeID(3), .observer))
        return state
    }

    @Test func whatIsOnTheMoveSurvivesInASnapshot() throws {
        let state = Self.busy()
        let bytes = state.encodeSnapshot()
        #expect(bytes.first == 4)
        let again = try ClusterState(snapshot: bytes)
        #expect(again == state && again.movingCount == 2 && again.encodeSnapshot() == bytes)
        for length in bytes.indices {
            #expect(throws: MetadataDecodingError.truncated, "\(length)") {
                _ = try ClusterState(snapshot: Array(bytes[..<length]))
            }
        }
    }

    @Test func damageToASnapshotIsRefusedOrMeansWhatItSays() {
        let bytes = Self.busy().encodeSnapshot()
        for place in bytes.indices {
            for value in [0, 1, 2, 3, 4, 5, 6, 7, 0x7f, 0x80, 0xff, bytes[place] ^ 1, bytes[place] &+ 1] {
                var damaged = bytes
                damaged[place] = value
                if let read = try? ClusterState(snapshot: damaged) { #expect(read.encodeSnapshot() == damaged) }
            }
        }
    }

    @Test func aClusterAtRestWritesWhatOlderNodesRead() {
        var state = Self.state()
        #expect(state.encodeSnapshot().first == 1)
        for command in [
            MetadataCommand.reassign([move(1, 0, [4, 5, 6])]), .setNodeState(NodeID(1), .draining),
            .setRebalancing(true),
            .removeNode(NodeID(6)), .wishVoter(NodeID(1), .voter),
        ] {
            var changed = state
            changed.apply(command)
            #expect(changed.encodeSnapshot().first == 4)
        }
        state.apply(.setRebalancing(true))
        state.apply(.setRebalancing(false))
        #expect(state.encodeSnapshot().first == 1)
    }
}
