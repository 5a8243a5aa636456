// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel

/// A group whose work the coordinator shares out (KIP-848).
struct ConsumerGroup: Sendable {
    let id: String
    var groupEpoch: Int32 = 0

    init(id: String) { self.id = id }

    var isEmpty: Bool { true }

    var deadline: Moment? { nil }

    /// Kafka's name of its state.
    var stateName: String { "Empty" }

    /// What its members read.
    var subscription: GroupSubscription { .nothing }

    /// What takes the group out of the log.
    var tombstones: [CoordinatorRecord] { [.consumerGroupMetadata(id, nil)] }

    func validateCommit(
        memberID: String, groupInstanceID: String?, memberEpoch: Int32, version: Int16
    ) -> ErrorCode { memberEpoch < 0 ? .none : .unknownMemberID }

    func validateFetch(memberID: String?, memberEpoch: Int32) -> ErrorCode { .none }

    func explain(at now: Moment) -> GroupExplanation {
        var explanation = GroupExplanation()
        explanation.groupID = id
        explanation.state = stateName
        explanation.protocolType = ClassicGroup.consumerProtocolType
        return explanation
    }
}
