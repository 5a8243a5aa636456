// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RaftCore
import Replication

/// A letter on the simulated network, with what travels beside it.
struct Letter {
    var from: Int
    var to: Int
    var group: PartitionID
    var message: Message
    var payload: ByteBuffer?
    /// Which connection carries it; with an older one it is gone.
    var connection: Int
}

/// A shard's world in the simulation: the cluster's clock, its network, and one machine's disk.
///
/// It belongs to one life of one node. What it is asked to do after that life has ended does not happen.
final class SimEnvironment: ShardEnvironment {
    unowned let cluster: Cluster
    let place: Int
    let life: Int
    let files: SimFileSystem
    private var outbox: [Letter] = []
    private var nextWake: Moment?
    private var wakes = 0

    init(cluster: Cluster, place: Int, life: Int, files: SimFileSystem) {
        self.cluster = cluster
        self.place = place
        self.life = life
        self.files = files
    }

    var now: Moment { Moment(nanoseconds: cluster.now + cluster.nodes[place].clockOffset) }
    /// Wall clocks disagree by seconds; nothing may depend on them.
    var wallClock: Timestamp {
        Timestamp(milliseconds: 1_700_000_000_000 + Int64(cluster.now / 1_000_000) + Int64(place) * 3_000)
    }

    func send(_ message: Message, of group: PartitionID, payload: [ByteBuffer], to peer: NodeID) {
        var bytes: ByteBuffer?
        for piece in payload {
            if bytes == nil { bytes = ByteBuffer() }
            bytes?.writeImmutableBuffer(piece)
        }
        outbox.append(
            Letter(
                from: place, to: Int(peer.rawValue), group: group, message: message, payload: bytes, connection: 0))
    }

    func flushLetters() {
        let leaving = outbox
        outbox.removeAll(keepingCapacity: true)
        for letter in leaving { cluster.depart(letter) }
    }

    func requestTurnEnd() {
        let delay = UInt64(cluster.random.below(60_000))
        cluster.schedule(on: place, life: life, after: delay) { self.cluster.endTurn(of: self.place) }
    }

    private static let longestSleep: UInt64 = 1_000_000_000

    /// Timers are late, here as everywhere.
    func wake(at moment: Moment) {
        if let nextWake, nextWake <= moment { return }
        nextWake = moment
        wakes += 1
        let number = wakes
        let wait = moment > now ? min(moment.nanoseconds(since: now), Self.longestSleep) : 0
        let lateness = UInt64(cluster.random.below(Int(cluster.climate.timerLateness)))
        cluster.schedule(on: place, life: life, after: wait + lateness) {
            guard self.wakes == number else { return }
            self.nextWake = nil
            self.cluster.tick(self.place)
            if let next = self.cluster.nextTick(of: self.place, after: self.now) { self.wake(at: next) }
        }
    }

    /// The job runs at some moment between its submission and its completion, as on a thread of its own.
    func submit<Answer>(
        _ job: @escaping @Sendable () -> sending Answer, then completion: @escaping (sending Answer) -> Void
    ) {
        let delay = cluster.diskDelay(of: place)
        let early = delay == 0 ? 0 : cluster.random.next() % delay
        cluster.schedule(on: place, life: life, after: early) {
            let handover = OneHandover(job())
            self.cluster.schedule(on: self.place, life: self.life, after: delay - early) { completion(handover.take()) }
        }
    }

    func learned(_ leadership: Leadership) {
        cluster.learned(leadership)
        if leadership.partition.topic == cluster.offsetsTopic { cluster.followCoordination(at: place) }
    }

    func report(_ event: ShardEvent) { cluster.reported(event, at: place) }
}

/// Carries a job's answer from the moment it ran to the moment it is told.
final class OneHandover<Value> {
    private var value: Value?

    init(_ value: consuming sending Value) { self.value = value }

    func take() -> sending Value {
        guard let taken = value else { preconditionFailure("an answer is taken once") }
        value = nil
        // SAFETY: the simulation has one thread, and this box has just given up its only reference.
        nonisolated(unsafe) let only = taken
        return only
    }
}
