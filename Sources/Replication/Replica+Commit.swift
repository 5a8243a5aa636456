// SPDX-License-Identifier: Apache-2.0

public import LogModel
import LogStorage
import NIOCore
import RaftCore
import RecordBatches

extension Replica {
    /// The commit index moved: answers produces, applies to the state machine, wakes those who wait for records.
    func commitMoved() {
        log.settleProducers(below: raft.commit)
        answerCommittedProduces()
        settleTrims()
        if state != nil { applyCommitted() }
        notifyWatchers()
    }

    /// How much of the log one read of the state machine takes.
    private static var applySlice: ByteCount { .mebibytes(1) }

    private func applyCommitted() {
        guard let state else { return }
        do {
            let end = min(raft.commit, log.end)
            while applied < end {
                let slice = try log.read(from: applied, limit: Self.applySlice)
                for bytes in slice.bytes { try apply(bytes, below: end, to: state) }
            }
        } catch {
            fail("the committed log could not be applied", error)
        }
    }

    private func apply(_ bytes: ByteBuffer, below end: LogIndex, to state: any ReplicatedState) throws {
        var position = bytes.readerIndex
        while position < bytes.writerIndex, applied < end {
            let head = try EntryHead.parse(bytes, at: position)
            if head.kind == .records, let entry = bytes.getSlice(at: position, length: head.totalSize) {
                state.apply(head, entry)
            }
            applied = applied.advanced(by: head.slots)
            position += head.totalSize
        }
    }

    /// Calls `watcher` at every later move of the high watermark or the leader, until `unwatch`.
    public func watch(_ watcher: CommitWatcher) { watchers.append(watcher) }

    public func unwatch(_ watcher: CommitWatcher) { watchers.removeAll { $0 === watcher } }

    func notifyWatchers() {
        #if MUTANTS
            if Mutant.isActive("T-R8"), !isLeader { return }
        #endif
        guard !watchers.isEmpty else { return }
        for watcher in watchers { watcher.changed() }
    }
}

extension Replica {
    /// Lets sealed segments go that lie wholly below `offset`, because a snapshot holds what they said.
    public func dropLog(before offset: Offset) {
        guard stopped == nil else { return }
        do throws(LogError) {
            let covered = min(log.index(of: offset), raft.commit)
            let moved = try log.applyRetention(
                now: shard.environment.wallClock, bytes: .zero, milliseconds: nil, committed: covered)
            guard let anchor = moved else { return }
            step(.logStartMoved(anchor))
        } catch {
            fail("old segments could not be removed", error)
        }
    }
}
