// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel

/// What goes wrong, and how it ends.
extension Cluster {
    func scheduleWeather() {
        guard climate.faultInterval > 0, !climate.faults.isEmpty else { return }
        schedule(after: 1 + random.span(mean: climate.faultInterval)) {
            guard !self.isCalm else { return }
            self.strike(self.random.pick(self.climate.faults))
            self.scheduleWeather()
        }
    }

    private func strike(_ fault: Climate.Fault) {
        // Leaders are worth more than others, and there are fewer of them.
        let isAimed = random.chance(perMille: 300)
        let place = isAimed ? likelyLeader(of: random.below(climate.allPartitions)) : random.below(nodes.count)
        let span = 10_000_000 + random.span(mean: climate.electionTimeout)
        say("fault \(fault) at n\(place) for \(span / 1_000_000) ms")
        statistics.faults[fault, default: 0] += 1
        switch fault {
        case .kill, .powerLoss: crash(place, losesPower: fault == .powerLoss, for: span)
        case .powerLossEverywhere:
            guard random.chance(perMille: 300) else { return }
            for victim in nodes.indices { crash(victim, losesPower: true, for: span + random.span(mean: 30_000_000)) }
        case .stop: if nodes[place].isUp { stopOrderly(place, thenStartAfter: span) }
        case .pause:
            // A pause is never cut short: what has waited for its end would be overtaken.
            nodes[place].isPausedUntil = max(nodes[place].isPausedUntil, now + min(span, 3 * climate.electionTimeout))
        case .slowDisk: nodes[place].isSlowUntil = now + 3 * span
        case .failingDisk, .fullDisk: spoilDisk(place, isFull: fault == .fullDisk, for: span)
        case .oneWayCut:
            let other = random.below(nodes.count)
            network.cuts[place][other] = place != other
            breakCutConnections()
            schedule(after: span) { self.network.cuts[place][other] = false }
        case .partition: partition(for: 2 * span)
        case .brokenConnection: breakConnection(place, random.below(nodes.count))
        }
    }

    private func crash(_ place: Int, losesPower: Bool, for span: UInt64) {
        guard nodes[place].isUp else { return }
        end(place, losesPower: losesPower)
        schedule(after: span) { self.start(place) }
    }

    /// A disk fails or fills up. Either it becomes well again, or its machine is restarted with a healthy one.
    private func spoilDisk(_ place: Int, isFull: Bool, for span: UInt64) {
        guard nodes[place].isUp, !nodes[place].isDiskBad else { return }
        let life = nodes[place].life
        nodes[place].isDiskBad = true
        nodes[place].hasHadBadDisk = true
        if isFull {
            nodes[place].files.capacity = Int64(random.below(20_000))
        } else {
            let operation: DiskError.Operation = random.chance(perMille: 700) ? .synchronize : .write
            nodes[place].files.fail(operation, after: random.below(4), times: random.within(1...3))
        }
        schedule(after: span) {
            guard self.nodes[place].life == life else { return }
            guard self.random.chance(perMille: 400) else { return self.healDisk(place) }
            self.crash(place, losesPower: self.random.chance(perMille: 500), for: span)
        }
    }

    private func healDisk(_ place: Int) {
        say("\(nodes[place].id)'s disk is well again")
        nodes[place].isDiskBad = false
        nodes[place].files.heal()
        nodes[place].files.capacity = nil
    }

    private func partition(for span: UInt64) {
        let left = nodes.indices.filter { _ in random.chance(perMille: 500) }
        for one in left {
            for other in nodes.indices where !left.contains(other) {
                network.cuts[one][other] = true
                network.cuts[other][one] = true
            }
        }
        breakCutConnections()
        schedule(after: span) { self.network.heal() }
    }

    /// The faults end. At most a minority stays down, as it may for ever.
    func calmDown(leavingDown: Int) {
        isCalm = true
        calmSince = now
        say("calm")
        network.heal()
        for place in nodes.indices where nodes[place].isDiskBad {
            if random.chance(perMille: 500) { healDisk(place) } else { end(place, losesPower: false) }
        }
        let down = nodes.indices.filter { !nodes[$0].isUp }
        let resting = Set(down.prefix(leavingDown))
        for place in nodes.indices {
            nodes[place].isSlowUntil = 0
            if !resting.contains(place) { start(place) }
        }
        for one in nodes.indices {
            for other in nodes.indices where one < other {
                schedule(after: 5_000_000) { self.reconnect(one, other) }
            }
        }
    }
}
