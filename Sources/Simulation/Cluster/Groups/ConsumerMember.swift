// SPDX-License-Identifier: Apache-2.0

import GroupCore
import KafkaWire

/// A member that speaks the consumer protocol (KIP-848): the coordinator says what it shall own, and it says what it
/// owns. What it is to give away it commits first, and keeps the rest meanwhile.
final class ConsumerMember: GroupMember {
    private var id = ""
    /// 0 asks to join.
    private var memberEpoch: Int32 = 0
    private var isJoined = false
    private var target: [Int32] = []
    /// What the coordinator was last told; `nil` when it must be told all.
    private var reported: [Int32]?
    private var isSpeaking = false
    private var isRevoking = false
    private var round = 0

    override var epoch: Int32 { isJoined ? memberEpoch : -1 }
    override var memberID: String { id }

    override func begin() {
        id = "\(client.name)-\(life)"
        outside()
        speak()
        scheduleHeartbeat()
    }

    private func outside() {
        round += 1
        isJoined = false
        memberEpoch = 0
        target = []
        reported = nil
        isSpeaking = false
        isRevoking = false
        forgetPositions()
    }

    private func scheduleHeartbeat() {
        after(UInt64(climate.heartbeatInterval) * 1_000_000) {
            self.speak()
            self.scheduleHeartbeat()
        }
    }

    private func speak() {
        guard !isSpeaking else { return }
        isSpeaking = true
        var request = ConsumerGroupHeartbeatRequest()
        request.groupID = world.name(of: group)
        request.memberID = id
        request.memberEpoch = memberEpoch
        request.instanceID = instance
        let mine = owned
        if reported == nil || !isJoined {
            request.rebalanceTimeout = Int32(climate.rebalanceTimeout)
            request.subscribedTopicNames = [GroupWorld.topicName]
        }
        if reported != mine {
            var topic = ConsumerGroupPartitions()
            topic.topicID = cluster.topicID
            topic.partitions = mine
            request.topicPartitions = mine.isEmpty ? [] : [topic]
        }
        let round = round
        ask(.consumerGroupHeartbeat(request), version: 1) { [self] reply in
            guard round == self.round else { return }
            isSpeaking = false
            guard case .consumerGroupHeartbeat(let response)? = reply else {
                // What did not arrive, or did and was not answered, is said again.
                reported = nil
                return
            }
            guard response.error == .none else {
                reported = nil
                return refused(response.error)
            }
            reported = mine
            isJoined = true
            memberEpoch = response.memberEpoch
            guard let assignment = response.assignment else { return }
            target = assignment.topicPartitions.flatMap(\.partitions).sorted()
            reconcile()
        }
    }

    /// Gives up what is not in the target, once that is committed, then takes what is new.
    private func reconcile() {
        guard !isRevoking else { return }
        guard owned != target else { return speakAgain() }
        guard !Set(owned).isSubset(of: target) else {
            own(target)
            return speakAgain()
        }
        isRevoking = true
        let round = round
        commit { [self] in
            guard round == self.round else { return }
            isRevoking = false
            own(target)
            speakAgain()
        }
    }

    /// Says at once what it owns now.
    private func speakAgain() {
        let round = round
        guard reported != owned else { return }
        after(1) { if round == self.round { self.speak() } }
    }

    override func sign(_ request: inout OffsetFetchRequest.Group) {
        request.memberID = id
        request.memberEpoch = memberEpoch
    }

    override func refused(_ error: ErrorCode) {
        switch error {
        case .unknownMemberID, .fencedMemberEpoch:
            outside()
            rejoinLater()
        // Its session ended, and an administrator deleted the group that was left empty.
        case .groupIDNotFound where world.deletedGroups.contains(group):
            outside()
            rejoinLater()
        // The next heartbeat tells the new epoch.
        case .staleMemberEpoch: break
        // The process that went by its name before has not been given up yet.
        case .unreleasedInstanceID: break
        case .fencedInstanceID: crash()
        default: surprised(by: error, to: "epoch \(memberEpoch)")
        }
    }

    private func rejoinLater() {
        let round = round
        after(backoff) { if round == self.round { self.speak() } }
    }

    override func leave() {
        guard isJoined else { return }
        var request = ConsumerGroupHeartbeatRequest()
        request.groupID = world.name(of: group)
        request.memberID = id
        request.memberEpoch = instance == nil ? -1 : -2
        request.instanceID = instance
        round += 1
        isSpeaking = true
        ask(.consumerGroupHeartbeat(request), version: 1) { _ in self.crash() }
    }
}
