// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import Replication

/// Where the hard-state journals of a node's shards lie.
///
/// A group's votes are in the journal of its shard, and which shard that is depends on how many there are. So each
/// number of shards has a folder of its own, and a node that is started with another number copies every vote first:
/// the old folder goes only when the new one is durable and the identity file names it.
struct JournalFolder: Sendable {
    private let path: String
    private let directory: String
    private let stored: Int
    private let shards: Int
    private let files: RealFileSystem

    init(directory: DataDirectory, files: RealFileSystem, shards: Int) {
        self.files = files
        self.shards = shards
        path = directory.path
        stored = directory.identity.shards
        self.directory = directory.votes(spreadOver: shards)
    }

    private func folder(_ shard: Int, of count: Int) -> String { "\(path)/votes-\(count)/\(shard)" }

    func open(_ shard: Int) throws(LogError) -> sending HardStateJournal<RealFileSystem> {
        try HardStateJournal.open(directory: folder(shard, of: shards), in: files)
    }

    /// Makes the folders, and moves the votes when the number of shards has changed.
    func prepare(_ identity: DataDirectory) throws {
        if stored != shards { try files.removeTree(directory) }
        try files.makeDirectory(directory)
        for shard in 0..<shards { try files.makeDirectory(folder(shard, of: shards)) }
        try files.synchronizeDirectory(directory)
        try files.synchronizeDirectory(path)
        guard stored != shards else { return }
        try move()
        try identity.update { $0.shards = shards }
        try files.removeTree("\(path)/votes-\(stored)")
    }

    private func move() throws {
        let targets = try (0..<shards).map { try open($0) }
        for shard in 0..<stored where try files.exists(folder(shard, of: stored)) {
            let source = try HardStateJournal.open(directory: folder(shard, of: stored), in: files)
            for group in source.groups {
                targets[group.shard(of: shards)].record(source.state(of: group), for: group)
            }
        }
        for target in targets {
            guard let ticket = try target.beginSync() else { continue }
            try target.completeSync(ticket, ticket.run())
        }
    }
}
