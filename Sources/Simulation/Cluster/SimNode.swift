// SPDX-License-Identifier: Apache-2.0

import Broker
import LogModel
import Replication

/// One machine: a disk that outlives crashes, and a shard that does not.
struct SimNode {
    let id: NodeID
    let files: SimFileSystem
    /// Monotonic clocks of different machines have nothing to do with each other.
    let clockOffset: UInt64
    var shard: Shard<SimEnvironment>?
    var groups: GroupCoordinators<SimEnvironment>?
    /// Counts starts. What was scheduled in an earlier life does not happen.
    var life = 0
    var isPausedUntil: UInt64 = 0
    var isSlowUntil: UInt64 = 0
    /// Its disk has failed in this life, so its replicas may stop themselves.
    var isDiskBad = false
    /// It has failed in this life, and may be well again.
    var hasHadBadDisk = false
    /// Which peers it has been told are connected.
    var connected: [Bool]
    /// What each partition's log was when it was last looked at.
    var terms: [TermTable]
    var isOpen: [Bool]

    init(id: NodeID, files: SimFileSystem, clockOffset: UInt64, nodes: Int, partitions: Int) {
        self.id = id
        self.files = files
        self.clockOffset = clockOffset
        connected = Array(repeating: false, count: nodes)
        terms = Array(repeating: TermTable(), count: partitions)
        isOpen = Array(repeating: false, count: partitions)
    }

    var isUp: Bool { shard != nil }
}
