// SPDX-License-Identifier: Apache-2.0

import Broker
import LogModel
import Logging
import NIOCore
import Replication
import Settings

/// Whether this node hears what becomes of the cluster.
struct Contact {
    /// When the metadata group's leader was last known to be a leader; `nil` before the first time.
    var lastHeard: Moment?
    var isCutOff = false
}

extension ControllerResidence {
    /// How many election timeouts without a leader of the metadata group pass for an election.
    private static var patience: UInt64 { 2 }

    /// Lets the brokers know when this node is cut off, and when it is not any more. One that has never heard of the
    /// cluster waits for it, as its clients do.
    func watchContact() {
        guard let replica = home.shard.replica(.metadata) else { return }
        if replica.isInTouch || (replica.isFollowing && replica.leader.map(home.links.isConnected) == true) {
            contact.lastHeard = now
            return spread(isCutOff: false)
        }
        guard let heard = contact.lastHeard else { return }
        let bound = Self.patience * settings.raft.electionTimeout.wholeNanoseconds
        if now.nanoseconds(since: heard) > bound { spread(isCutOff: true) }
    }

    private func spread(isCutOff: Bool) {
        guard contact.isCutOff != isCutOff else { return }
        contact.isCutOff = isCutOff
        logger.notice(isCutOff ? "cut off: clients are sent to other nodes" : "in contact with the cluster again")
        for cell in cells {
            cell.eventLoop.execute { cell.value.broker.update { $0.replace(isCutOff: isCutOff) } }
        }
    }
}
