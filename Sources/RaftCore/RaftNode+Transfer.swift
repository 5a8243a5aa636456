// SPDX-License-Identifier: Apache-2.0

import LogModel

/// Handing leadership to a chosen voter (dissertation §3.10): bring it up to date, then ask it to stand at once.
extension RaftNode {
    mutating func startTransfer(to target: NodeID, into output: inout Output) {
        guard role == .leader, target != id, transfer == nil, let peer = peers.first(where: { $0.peer == target })
        else { return }
        guard peer.isVoter, peer.memory == .sound, now.nanoseconds(since: peer.lastHeard) < timing.electionTimeout
        else { return }
        // Nothing new is taken in meanwhile, so a target that has died must not hold the group up for long; one that
        // lives needs a few milliseconds.
        transfer = Transfer(target: target, deadline: now.advanced(byNanoseconds: timing.electionTimeout / 4))
        output.wantsAppend = true
        #if MUTANTS
            if Mutant.isActive("T-R6") { output.send.append(Envelope(to: target, message: .timeoutNow(term: term))) }
        #endif
        askTargetIfReady(into: &output)
    }

    /// Asks the target to stand once its disk holds our whole log.
    mutating func askTargetIfReady(into output: inout Output) {
        guard let pending = transfer, !pending.isAsked,
            let peer = peers.first(where: { $0.peer == pending.target }), peer.match == log.end
        else { return }
        transfer?.isAsked = true
        output.send.append(Envelope(to: pending.target, message: .timeoutNow(term: term)))
    }

    /// The target did not take over in time: we go on leading, unless we do not belong to the group any more.
    mutating func abandonLateTransfer(into output: inout Output) {
        guard let transfer, now >= transfer.deadline else { return }
        self.transfer = nil
        if !members.isElector(id), membersAreCommitted { stepDown(into: &output) }
    }

    mutating func askedToStand(by sender: NodeID, into output: inout Output) {
        guard role != .leader, sender == leader else { return }
        stand(isTransfer: true, into: &output)
    }
}
