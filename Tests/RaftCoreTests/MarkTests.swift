// SPDX-License-Identifier: Apache-2.0

import LogModel
import Testing

/// The rare branches of `RaftCore`, each with the test that is known to lead there.
@Suite struct MarkTests {
    @Test(arguments: [
        "RaftNode.said-farewell", "RaftNode.removed-leader-hands-over", "RaftNode.stepped-down-out-of-touch",
        "RaftNode.reverted-members",
    ])
    func eachMarkIsHit(mark: String) {
        let probe = Probe()
        Probe.$current.withValue(probe) {
            switch mark {
            case "RaftNode.said-farewell": MembersTests().aGroupMovesToOtherNodesWhileItIsWrittenTo()
            case "RaftNode.removed-leader-hands-over": MembersTests().aLeaderThatIsOutHandsOver()
            case "RaftNode.reverted-members": MembersTests().aConfigurationThatIsCutOffIsReverted()
            default: ElectionTests().leaderWithoutAMajorityStepsDown()
            }
        }
        #expect(probe.hasHit(mark), "only \(probe.marks)")
    }
}
