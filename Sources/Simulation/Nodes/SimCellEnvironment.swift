// SPDX-License-Identifier: Apache-2.0

import GodwitNode
import LogModel
import NIOCore
import PeerWire
import RaftCore
import Replication

/// A simulated node's surroundings: the world's clock and network, and one machine's disk.
///
/// It belongs to one life of one machine. What it is asked to do after that life has ended does not happen.
final class SimCellEnvironment: CellEnvironment {
    unowned let world: World
    let place: Int
    let life: Int
    let node: NodeID
    let files: SimFileSystem
    let loop: any EventLoop
    let links: SimLinks
    var endOfTurn: () -> Void = {}
    var tick: () -> Void = {}
    var leadershipLearned: (Leadership) -> Void = { _ in }
    private var nextWake: Moment?
    private var wakes = 0
    private var isTicking = true

    init(world: World, machine: Machine) {
        self.world = world
        place = machine.place
        life = machine.life
        node = machine.id
        files = machine.files
        loop = SimLoop(world: world, place: machine.place, life: machine.life)
        links = SimLinks(world: world, machine: machine)
    }

    private var machine: Machine { world.machines[place] }

    var now: Moment { Moment(nanoseconds: world.now + machine.clockOffset) }
    /// Wall clocks disagree by seconds, and jump; nothing may depend on them.
    var wallClock: Timestamp { world.wallClock(of: machine) }

    func send(_ message: Message, of group: PartitionID, payload: [ByteBuffer], to peer: NodeID) {
        var bytes = ByteBuffer()
        for piece in payload { bytes.writeImmutableBuffer(piece) }
        links.send(PeerLetter(group: group, message: message, payload: bytes), to: peer)
    }

    func flushLetters() { links.flush() }

    func requestTurnEnd() {
        let delay = UInt64(world.random.below(60_000))
        world.schedule(on: place, life: life, after: delay) { self.endOfTurn() }
    }

    private static let longestSleep: UInt64 = 1_000_000_000

    /// Timers are late, here as everywhere.
    func wake(at moment: Moment) {
        if let nextWake, nextWake <= moment { return }
        nextWake = moment
        wakes += 1
        let number = wakes
        let wait = moment > now ? min(moment.nanoseconds(since: now), Self.longestSleep) : 0
        let lateness = UInt64(world.random.below(Int(world.climate.base.timerLateness)))
        world.schedule(on: place, life: life, after: wait + lateness) {
            guard self.wakes == number, self.isTicking else { return }
            self.nextWake = nil
            self.tick()
        }
    }

    func stopTicking() {
        isTicking = false
        tick = {}
    }

    /// The job runs at some moment between its submission and its completion, as on a thread of its own.
    func submit<Answer>(
        _ job: @escaping @Sendable () -> sending Answer, then completion: @escaping (sending Answer) -> Void
    ) {
        let delay = world.diskDelay(of: machine)
        let early = delay == 0 ? 0 : world.random.next() % delay
        world.schedule(on: place, life: life, after: early) {
            let handover = OneHandover(job())
            self.world.schedule(on: self.place, life: self.life, after: delay - early) { completion(handover.take()) }
        }
    }

    func learned(_ leadership: Leadership) { leadershipLearned(leadership) }

    func report(_ event: ShardEvent) { world.reported(event, at: machine) }

    /// Lets go of the node, so that nothing holds itself.
    func dissolve() {
        endOfTurn = {}
        tick = {}
        leadershipLearned = { _ in }
    }
}
