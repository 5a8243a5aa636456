// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel

/// What goes wrong, and how it ends.
extension World {
    func scheduleWeather() {
        guard climate.faultInterval > 0, !climate.faults.isEmpty else { return }
        schedule(after: 1 + random.span(mean: climate.faultInterval)) {
            guard !self.isCalm else { return }
            self.strike(self.random.pick(self.climate.faults))
            self.scheduleWeather()
        }
    }

    /// Leaders are worth more than others, and there are fewer of them.
    private func victim() -> Int {
        guard random.chance(perMille: 300), !groups.isEmpty else { return random.below(machines.count) }
        return leader(of: random.pick(groups.keys.sorted())) ?? random.below(machines.count)
    }

    private func strike(_ fault: WorldClimate.Fault) {
        let place = victim()
        let span = 10_000_000 + random.span(mean: climate.base.electionTimeout)
        say("fault \(fault) at n\(place) for \(span / 1_000_000) ms")
        strikes += 1
        guard !climate.withoutFaults.contains(strikes - 1) else { return }
        statistics.faults[fault, default: 0] += 1
        let machine = machines[place]
        switch fault {
        case .kill, .powerLoss: crash(place, losesPower: fault == .powerLoss, for: span)
        case .powerLossEverywhere:
            guard random.chance(perMille: 300) else { return }
            for victim in machines.indices {
                crash(victim, losesPower: true, for: span + random.span(mean: 30_000_000))
            }
        case .stop: if machine.isUp { stopOrderly(place, thenStartAfter: span) }
        case .pause:
            // A pause is never cut short: what has waited for its end would be overtaken.
            machine.isPausedUntil = max(machine.isPausedUntil, now + min(span, 3 * climate.base.electionTimeout))
        case .clockJump:
            machine.wallOffset += Int64(random.within(-100_000...100_000))
        case .slowDisk: machine.isSlowUntil = now + 3 * span
        case .stuckDisk:
            // Now and then for so long that nobody can go on waiting.
            let isLong = random.chance(perMille: 300)
            machine.isStuckUntil = now + span + (isLong ? 1_200_000_000 : 0)
            machine.hasHadBadDisk = true
        case .rot: rot()
        case .failingDisk, .fullDisk: spoilDisk(place, isFull: fault == .fullDisk, for: span)
        case .oneWayCut, .partition, .isolation, .bridge, .ring: cut(fault, at: place, for: 2 * span)
        case .clog: network[place, random.below(machines.count)].clogged = now + span
        case .swizzle: swizzle(for: 2 * span)
        case .slowLink:
            let other = random.below(machines.count)
            network[place, other].extraDelay = random.span(mean: climate.base.electionTimeout / 2)
            schedule(after: 2 * span) { self.network[place, other].extraDelay = 0 }
        case .brokenConnection: breakConnection(place, random.below(machines.count))
        case .flapping: flap(place, random.below(machines.count), times: random.within(3...12))
        }
    }

    func crash(_ place: Int, losesPower: Bool, for span: UInt64) {
        guard machines[place].isUp else { return }
        end(place, losesPower: losesPower)
        schedule(after: span) { self.start(place) }
    }

    /// A disk fails or fills up. Either it becomes well again, or its machine is restarted with a healthy one.
    private func spoilDisk(_ place: Int, isFull: Bool, for span: UInt64) {
        let machine = machines[place]
        guard machine.isUp, machine.isListening, !machine.isDiskBad else { return }
        let life = machine.life
        machine.isDiskBad = true
        machine.hasHadBadDisk = true
        if isFull {
            machine.files.capacity = Int64(random.below(20_000))
        } else {
            let operation: DiskError.Operation = random.chance(perMille: 700) ? .synchronize : .write
            machine.files.fail(operation, after: random.below(4), times: random.within(1...3))
        }
        schedule(after: span) {
            // In the calm it is well again already, and nobody takes its machine down any more.
            guard machine.life == life, machine.isDiskBad else { return }
            guard self.random.chance(perMille: 400) else { return self.healDisk(machine) }
            let losesPower = self.random.chance(perMille: 500) && (self.climate.losesPower || !self.climate.rots)
            self.crash(place, losesPower: losesPower, for: span)
        }
    }

    private func healDisk(_ machine: Machine) {
        say("\(machine.id)'s disk is well again")
        machine.isDiskBad = false
        machine.files.heal()
        machine.files.capacity = nil
    }

    // MARK: - Cuts

    private func cut(_ fault: WorldClimate.Fault, at place: Int, for span: UInt64) {
        let all = machines.indices
        var pairs: [(Int, Int)] = []
        switch fault {
        case .oneWayCut:
            let other = random.below(machines.count)
            if random.coin() { pairs = [(place, other)] } else { pairs = all.map { (place, $0) } }
            if random.coin() { pairs = pairs.map { ($0.1, $0.0) } }
        case .isolation: pairs = all.flatMap { [(place, $0), ($0, place)] }
        case .partition, .bridge:
            let left = all.filter { _ in random.coin() }
            for one in all {
                for other in all where left.contains(one) != left.contains(other) {
                    guard fault == .partition || (one != place && other != place) else { continue }
                    pairs.append((one, other))
                }
            }
        case .ring:
            let count = machines.count
            for one in all {
                for other in all where ![1, count - 1].contains((other - one + count) % count) {
                    pairs.append((one, other))
                }
            }
        default: break
        }
        for (from, to) in pairs { cut(from, to) }
        breakCutConnections()
        schedule(after: span) {
            guard !self.isCalm else { return }
            for (from, to) in pairs { self.healLink(from, to) }
        }
    }

    private func swizzle(for span: UInt64) {
        let chosen = machines.indices.filter { _ in random.coin() }
        for place in chosen {
            let begin = now + random.next() % span
            let end = begin + random.next() % span
            schedule(after: begin - now) {
                guard !self.isCalm else { return }
                for other in self.machines.indices where other != place {
                    self.network[place, other].clogged = end
                    self.network[other, place].clogged = end
                }
            }
        }
    }

    private func flap(_ one: Int, _ other: Int, times: Int) {
        guard times > 0, !isCalm else { return }
        breakConnection(one, other)
        schedule(after: 5_000_000 + random.span(mean: 40_000_000)) { self.flap(one, other, times: times - 1) }
    }

    // MARK: - Calm

    /// The faults end for a core that can work by itself. The others are cut off for ever, in one way or another.
    ///
    /// - Parameter isWhole: the core is everybody.
    func calmDown(isWhole: Bool = false) {
        isCalm = true
        core = isWhole ? Array(machines.indices) : chooseCore()
        say("calm for \(core.map { "n\($0)" })")
        for one in core {
            for other in core {
                healLink(one, other)
                network[one, other].clogged = 0
                network[one, other].extraDelay = 0
            }
        }
        for place in machines.indices where !core.contains(place) { freeze(place) }
        for place in core {
            let machine = machines[place]
            machine.isSlowUntil = 0
            machine.isStuckUntil = 0
            if machine.isDiskBad {
                if random.coin() { healDisk(machine) } else { end(place, losesPower: false) }
            }
            start(place)
            for other in core where other > place { schedule(after: 5_000_000) { self.reconnect(place, other) } }
        }
    }

    /// A node outside the core: dead, asleep, or unable to hear or to be heard.
    ///
    /// One that some of the core hear and others do not could lead for ever without being able to serve all: that is so
    /// in Raft, and nothing is lost by it.
    private func freeze(_ place: Int) {
        let way = random.below(4)
        switch way {
        case 0: end(place, losesPower: random.coin())
        case 1: machines[place].isPausedUntil = .max / 2
        default:
            for other in machines.indices {
                cut(place, other)
                if way == 2 { cut(other, place) } else { healLink(other, place) }
            }
            breakCutConnections()
        }
    }

    /// Nodes of which every partition has a majority, and the metadata too; all of them half the time.
    private func chooseCore() -> [Int] {
        let all = Array(machines.indices)
        // Who votes may be changing: there are cores that no configuration has a majority in.
        // And what has rotted on one disk may be sound on the others only.
        guard random.coin(), climate.moveInterval == 0, !machines.contains(where: \.hasRot) else { return all }
        let size = random.within(machines.count / 2 + 1...machines.count)
        var chosen = all
        while chosen.count > size { chosen.remove(at: random.below(chosen.count)) }
        let suffices = orderedGroups.allSatisfy { group in
            let voting = group.consensus.voting
            return 2 * voting.count { chosen.contains($0) } > voting.count
        }
        return suffices && 2 * chosen.count > all.count ? chosen : all
    }
}
