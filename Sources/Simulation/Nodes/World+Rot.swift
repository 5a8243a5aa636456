// SPDX-License-Identifier: Apache-2.0

import Disk
import GodwitNode
import LogModel
import LogStorage
import RecordBatches
import Replication

/// Disks that forget what they had stored, and what must come of it: nothing that anybody sees.
extension World {
    /// The machines on whose disks a partition may rot: so few that of everything a majority of sound copies is left
    /// among any replicas. TigerBeetle calls this the fault atlas.
    private func mayRot(_ partition: PartitionID) -> [Int] {
        let few = (climate.replicationFactor - 1) / 2
        let ranked = machines.indices.map { place in
            (SimRandom.mix(partition.topic.low ^ UInt64(place) << 32 ^ UInt64(partition.index)), place)
        }
        return ranked.sorted { $0 < $1 }.prefix(few).map(\.1)
    }

    /// Some durable bytes of a log of data are damaged somewhere.
    func rot() {
        let data = orderedGroups.filter { $0.isData && !$0.isDoomed }
        guard !data.isEmpty else { return }
        let group = random.pick(data)
        let places = mayRot(group.partition)
        guard !places.isEmpty else { return }
        let machine = machines[random.pick(places)]
        let directory = directory(of: group.partition)
        guard let names = try? machine.files.list(directory) else { return }
        var files = names.filter { $0.hasSuffix(".log") || $0.hasSuffix(".index") }.sorted()
        // What was written last is told from what never was by a file that is not synchronized. Where the power goes or
        // writes fail, too, that file may say too little, and that is more than one disk may have: see `DurableMark`.
        let sealed = Set(files.filter { $0.hasSuffix(".log") }.dropLast(2).map { $0.prefix { $0 != "." } })
        if climate.losesMarks { files = files.filter { name in sealed.contains(name.prefix { $0 != "." }) } }
        // What logs consist of is worth more than what finds a place in them.
        let logs = files.filter { $0.hasSuffix(".log") }
        let chosen = random.chance(perMille: 800) ? logs : files
        guard !chosen.isEmpty else { return }
        let name = random.pick(chosen)
        let path = directory + "/" + name
        let kind = random.pick(SimFileSystem.Rot.allCases)
        guard let rotten = (try? machine.files.rot(path, kind)) ?? nil else { return }
        machine.hasRot = true
        statistics.rotten += 1
        say("\(machine.id): \(path) has \(rotten.kind) at byte \(rotten.position)")
    }

    private func directory(of partition: PartitionID) -> String {
        for machine in machines {
            if let replica = machine.cell?.shard.replica(partition) { return replica.assignment.directory }
        }
        return "data/topics"
    }

    /// What has rotted is found and repaired: in the end every replica of the core can read its log from its start.
    func healed() -> Bool {
        guard machines.contains(where: \.hasRot) else { return true }
        let bound = now + 40_000_000_000
        while now < bound {
            if orderedGroups.allSatisfy({ $0.isDoomed || sick($0).isEmpty }) { return true }
            guard run(until: now + 50_000_000) else { return false }
        }
        for group in orderedGroups {
            for (place, reason) in sick(group) {
                broke(Violation(.repaired, "n\(place) has a damaged \(name(group.partition)) still: \(reason)"))
            }
        }
        return false
    }

    /// The replicas of the core that cannot read all that they have, and why.
    private func sick(_ group: GroupWatch) -> [(place: Int, reason: String)] {
        core.compactMap { place in
            guard group.consensus.voting.contains(place) else { return nil }
            guard let replica = machines[place].cell?.shard.replica(group.partition), replica.stopped == nil else {
                return (place, "it does not run")
            }
            if replica.isRebuilding { return (place, "it has not got everything yet") }
            if replica.isDamaged { return (place, "\(replica.log.damage)") }
            do {
                guard replica.log.end == group.consensus.committedEnd else {
                    return (place, "it ends at \(replica.log.end)")
                }
                var at = replica.log.start.position.end
                while at < replica.log.end {
                    let slice = try replica.log.read(from: at, limit: .mebibytes(1))
                    for bytes in slice.bytes {
                        for head in try EntryHead.all(in: bytes, verifyingChecksums: true) {
                            at = at.advanced(by: head.slots)
                        }
                    }
                }
                return nil
            } catch {
                return (place, "\(error)")
            }
        }
    }
}
