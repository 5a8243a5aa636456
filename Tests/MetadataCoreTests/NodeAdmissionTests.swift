// SPDX-License-Identifier: Apache-2.0

import LogModel
import MetadataCore
import Settings
import Testing

@Suite struct NodeAdmissionTests {
    /// Nodes 1 to 3.
    private static var cluster: ClusterState {
        var state = ClusterState()
        state.apply(.formCluster(sampleCluster), at: Offset(0))
        for id in 1...3 { state.apply(.registerNode(registration(Int32(id))), at: Offset(Int64(id))) }
        return state
    }

    private func reason(_ admission: NodeAdmission) -> String {
        if case .refused(let reason) = admission { reason } else { "" }
    }

    @Test func aNewNodeIsAdmittedAndAKnownOneIsKnown() {
        let state = Self.cluster
        #expect(state.admission(of: registration(4), reachable: []) == .admitted)
        #expect(state.admission(of: registration(3), reachable: nodes(3)) == .known)
        #expect(state.admission(of: registration(3, kafkaPort: 9), reachable: nodes(3)) == .admitted)
        #expect(reason(ClusterState().admission(of: registration(1), reachable: [])).contains("not formed"))
    }

    @Test func aSecondNodeOfAnIDIsRefusedWhileTheFirstIsThere() {
        let state = Self.cluster
        let twin = registration(3, disk: 7)
        #expect(reason(state.admission(of: twin, reachable: nodes(3))).contains("give this one another node.id"))
        // At the same address, and with the first one gone, it is the same node after the loss of its disk.
        #expect(state.admission(of: twin, reachable: nodes(1, 2)) == .admitted)
        var elsewhere = twin
        elsewhere.peer = NetworkAddress(host: "elsewhere", port: 1)
        let refusal = reason(state.admission(of: elsewhere, reachable: nodes(1, 2)))
        #expect(refusal.contains("p3:19092") && refusal.contains("godwit cluster decommission 3"))
    }

    @Test func aRemovedNodeComesBackOnlyWithAnotherDirectory() {
        var state = Self.cluster
        state.apply(.setNodeState(NodeID(3), .draining), at: Offset(4))
        state.apply(.removeNode(NodeID(3)), at: Offset(5))
        #expect(reason(state.admission(of: registration(3), reachable: [])).contains("was removed"))
        var anew = registration(3, disk: 7)
        anew.peer = NetworkAddress(host: "elsewhere", port: 1)
        #expect(state.admission(of: anew, reachable: []) == .admitted)
    }

    @Test func anAddressBelongsToOneNode() {
        var borrower = registration(4)
        borrower.peer = registration(2).peer
        #expect(reason(Self.cluster.admission(of: borrower, reachable: [])).contains("node 2"))
        for host in ["0.0.0.0", "::"] {
            var nowhere = registration(4)
            nowhere.peer = NetworkAddress(host: host, port: 1)
            #expect(reason(Self.cluster.admission(of: nowhere, reachable: [])).contains("peer.advertise"))
        }
    }

    @Test func thereIsABoundOfNodes() {
        var state = ClusterState()
        state.apply(.formCluster(sampleCluster), at: Offset(0))
        for id in 1...ClusterState.nodesMax {
            state.apply(.registerNode(registration(Int32(id))), at: Offset(Int64(id)))
        }
        #expect(reason(state.admission(of: registration(5_000), reachable: [])).contains("at most 1000"))
        #expect(state.admission(of: registration(5, kafkaPort: 7), reachable: []) == .admitted)
    }
}
