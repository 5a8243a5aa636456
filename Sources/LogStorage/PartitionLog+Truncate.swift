// SPDX-License-Identifier: Apache-2.0

import Disk
public import LogModel
import NIOCore
import RecordBatches

extension PartitionLog {
    /// Forgets every entry from `end` on. `durable` falls with it.
    ///
    /// What is cut off a file is gone for good only after the next sync, so until then nothing new is written.
    ///
    /// - Throws: `.beforeStart`, or `.corrupt` when no entry begins at `end`; the log is then as it was.
    public func truncate(to newEnd: LogIndex) throws(LogError) {
        try checkUsable()
        guard start.position.end <= newEnd else { throw .beforeStart(start) }
        guard newEnd < end else { return }
        var place: Cut?
        if newEnd < written { place = try cutPlace(at: newEnd) }
        if let entry = recent.entry(at: newEnd), entry.index != newEnd { throw notABoundary(newEnd) }
        if let place {
            // The checkpoint must never promise what is about to be cut, nor may one that is being written.
            let promised = checkpointFile.invalidate(upTo: checkpointSequence)
            // Nor may it say "closed cleanly": the next opening could not know that a cut was never synchronized.
            if promised > newEnd || checkpointed.isClean { try writeCheckpoint(upTo: newEnd) }
            try cutFiles(at: place)
        }
        recent.truncate(to: newEnd)
        unwrittenSize = recent.unwrittenChunks.reduce(0) { $0 + Int64($1.bytes.readableBytes) }
        endOffset = markers.offset(at: newEnd)
        end = newEnd
        markers.truncate(to: newEnd)
        terms.truncate(to: newEnd)
        trims.truncate(to: newEnd)
        memberships.truncate(to: newEnd)
        cleanedTo = min(cleanedTo, newEnd)
        lastTerm = terms.rows.last?.term ?? start.position.term
        try truncateProducers(to: newEnd)
    }

    private func cutFiles(at place: Cut) throws(LogError) {
        try orFail { () throws(DiskError) in
            try mark.lower(to: place.index)
            // From the end, so that a crash in between leaves a log without a hole.
            while segments.count > place.segment + 1 {
                let segment = segments.removeLast()
                sizeOnDisk -= segment.size
                try segment.remove()
                directoryNeedsSync = true
            }
            let segment = segments[place.segment]
            let file = place.position == 0 ? try segment.fileOrNew() : try segment.file()
            // What a damaged file has lost is not made up with zeros.
            if try file.size().rawValue > place.position { try file.truncate(to: ByteCount(place.position)) }
            sizeOnDisk -= segment.size - place.position
        }
        let segment = segments[place.segment]
        segment.needsSync = true
        written = place.index
        durable = min(durable, place.index)
        cutNeedsSync = true
        cuts += 1
        #if MUTANTS
            if Mutant.isActive("T-C6") { cutNeedsSync = false }
        #endif
        try segment.cut(at: place.position, end: place.index)
    }

    /// Where a log can be cut.
    struct Cut {
        let segment: Int
        let position: Int64
        let index: LogIndex
    }

    func cutPlace(at newEnd: LogIndex) throws(LogError) -> Cut {
        guard let number = segmentNumber(at: newEnd), let damage = segments[number].damage.last else {
            let found = try locate(newEnd)
            guard found.index == newEnd else { throw notABoundary(newEnd) }
            return Cut(segment: found.segment, position: found.position, index: newEnd)
        }
        let segment = segments[number]
        guard segment.base < newEnd else { return Cut(segment: number, position: 0, index: newEnd) }
        // What is cut within damage is not there to be found: the sound part ends before it.
        let hit = segment.damage.first { $0.range.lowerBound <= newEnd && newEnd <= $0.range.upperBound }
        if let hit {
            let isBehind = newEnd == hit.range.upperBound
            let position = isBehind ? hit.bytes.upperBound : hit.bytes.lowerBound
            return Cut(segment: number, position: position, index: newEnd)
        }
        let before = segment.damage.last { $0.range.upperBound <= newEnd }
        guard before != nil || newEnd < damage.range.lowerBound else { throw notABoundary(newEnd) }
        let file = try onDisk { () throws(DiskError) in try segment.file() }
        var at = before?.range.upperBound ?? segment.base
        var cursor = EntryCursor(file, path: segment.path, from: before?.bytes.upperBound ?? 0, to: segment.size)
        while at < newEnd, let (head, _) = try cursor.next() { at = at.advanced(by: head.slots) }
        guard at == newEnd else { throw notABoundary(newEnd) }
        return Cut(segment: number, position: cursor.position, index: newEnd)
    }

    /// Drops everything; the log is then empty and begins at `anchor`, durably so. Blocks.
    ///
    /// A crash leaves either the old log or the new one: the checkpoint that says "remove every segment" decides.
    ///
    /// - Parameter membership: what the last membership marker before the anchor says, where there was one.
    public func restart(at anchor: LogAnchor, membership: [UInt8]? = nil) throws(LogError) {
        try checkUsable()
        // What is said below was never promised to anybody before it is so on the disk.
        durableBeforeRestart = durablePosition
        restarts += 1
        _ = checkpointFile.invalidate(upTo: checkpointSequence)
        let old = segments
        segments = []
        recent = RecentEntries()
        start = anchor
        end = anchor.position.end
        endOffset = anchor.offset
        #if MUTANTS
            if Mutant.isActive("T-S3") { endOffset = Offset(anchor.offset.rawValue + 1) }
        #endif
        durable = end
        written = end
        terms = TermTable()
        trims.restart()
        memberships = MembershipTable(atStart: membership)
        cleanedTo = end
        cleaning = nil
        lastTerm = anchor.position.term
        markers = MarkerTable(start: end, offset: anchor.offset)
        restartProducers()
        sizeOnDisk = 0
        unwrittenSize = 0
        checkpointIsWanted = false
        directoryNeedsSync = false
        cutNeedsSync = false
        // Until the files agree with what has been said above, an error of any kind ends the use of the log.
        hasFailed = true
        try onDisk { () throws(DiskError) in try mark.lower(to: end) }
        try writeCheckpoint(isRestarting: true)
        try onDisk { () throws(DiskError) in
            for segment in old { try segment.remove() }
            try fs.synchronizeDirectory(directory)
        }
        try writeCheckpoint()
        hasFailed = false
        durableBeforeRestart = nil
    }
}
