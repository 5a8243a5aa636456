// SPDX-License-Identifier: Apache-2.0

import GodwitNode
import LogModel
import Replication
import Transport

/// One machine of the world: a disk and an identity that outlive crashes, and a node that does not.
final class Machine {
    let place: Int
    let id: NodeID
    let files: SimFileSystem
    let memory: SimMemory
    /// Monotonic clocks of different machines have nothing to do with each other.
    let clockOffset: UInt64
    var cell: NodeCell<SimCellEnvironment>?
    /// Counts starts and ends. What was scheduled in an earlier life does not happen.
    var life = 0
    var hasStarted = false
    /// Whether peers can connect.
    var isListening = false
    /// Whether clients are let in.
    var isServing = false
    var isPausedUntil: UInt64 = 0
    var isSlowUntil: UInt64 = 0
    /// Nothing that its disk is asked for ends before.
    var isStuckUntil: UInt64 = 0
    /// Its disk has failed in this life, so its replicas may stop themselves.
    var isDiskBad = false
    /// It has failed in this life, and may be well again.
    var hasHadBadDisk = false
    /// What it had stored was damaged on purpose.
    var hasRot = false
    /// Which peers it has been told are connected.
    var connected: [Bool]
    /// The replicas that run here, as the checks follow them.
    var watched: [Watched] = []
    /// Counts the wall clock's jumps: how far it is off, in milliseconds.
    var wallOffset: Int64 = 0

    /// A replica and what its log was when it was last looked at.
    struct Watched {
        let replica: Replica<SimCellEnvironment>
        let group: GroupWatch
        var terms: TermTable
    }

    init(place: Int, nodes: Int, seed: UInt64, clockOffset: UInt64, directory: TopicID) {
        self.place = place
        id = NodeID(Int32(place))
        files = SimFileSystem(seed: seed)
        memory = SimMemory(DataDirectory.Identity(node: id, directory: directory, cluster: nil, shards: 1))
        self.clockOffset = clockOffset
        connected = Array(repeating: false, count: nodes)
    }

    var isUp: Bool { cell != nil }
}

/// What a simulated node remembers of itself. A real one writes it to a file of its own; what that costs and how it
/// fails is no part of the simulation.
// SAFETY: the whole simulation runs on one thread.
final class SimMemory: NodeMemory, @unchecked Sendable {
    private(set) var identity: DataDirectory.Identity
    let topics = "data/topics"
    let metadata = "data/metadata"

    init(_ identity: DataDirectory.Identity) { self.identity = identity }

    func update(_ change: (inout DataDirectory.Identity) -> Void) throws(DataDirectory.Failure) { change(&identity) }
}

/// The door of a simulated node. What it says to those who knock is read from its links.
final class SimDoor: PeerDoor {
    func setIdentity(_ identity: PeerIdentity) {}
}

/// Draws what a node draws, from the world's seed. A class, so that two who draw do not draw the same.
final class SimGenerator: RandomNumberGenerator {
    private var random: SimRandom

    init(seed: UInt64) { random = SimRandom(seed: seed) }

    func next() -> UInt64 { random.next() }
}
