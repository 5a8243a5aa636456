// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
public import NIOCore
public import RecordBatches

extension PartitionLog {
    /// Takes whole entries that carry their offsets and terms. They are visible to reads at once, and in memory only
    /// until `writeOut`. The bytes are kept, not copied.
    ///
    /// - Parameter heads: the heads of the entries that lie back to back in `bytes`.
    /// - Precondition: the entries continue the log.
    /// - Complexity: O(entries).
    public func append(_ bytes: ByteBuffer, heads: [EntryHead]) {
        guard !hasFailed, !heads.isEmpty else { return }
        let first = end
        var total = 0
        for head in heads {
            precondition(head.baseOffset == endOffset, "an appended entry continues the offsets")
            precondition(head.term >= lastTerm, "terms never fall along a log")
            if head.isMarker { note(marker: head, of: bytes, at: bytes.readerIndex + total) }
            producerMemory.note(head, at: end)
            if head.term != lastTerm || terms.rows.isEmpty {
                terms.note(head.term, at: end)
                lastTerm = head.term
            }
            end = end.advanced(by: head.slots)
            endOffset = head.nextOffset
            total += head.totalSize
        }
        precondition(total == bytes.readableBytes, "the heads are those of the bytes")
        recent.append(.init(start: first, end: end, bytes: bytes, heads: heads[...]))
        unwrittenSize += Int64(total)
    }

    /// Takes note of the marker at the log's end, whose bytes begin at `index` of `bytes`.
    func note(marker head: EntryHead, of bytes: ByteBuffer, at index: Int) {
        markers.note(end)
        if head.kind == .membership, let payload = try? MarkerEntry.payload(of: bytes, at: index),
            payload.readableBytes <= MembershipTable.maximumPayload
        {
            memberships.note(end, Array(payload.readableBytesView))
        }
        guard head.kind == .logStart, let offset = LogStartPayload.offset(in: bytes, at: index) else { return }
        // A start beyond the log would be nobody's honest word.
        trims.note(end, min(offset, head.baseOffset))
    }

    /// Hands what was appended to the system, one write a segment, and ends segments that are due.
    ///
    /// After a truncation nothing is written until a sync begun after it has completed; what is appended meanwhile
    /// stays in memory, and the log dirty.
    ///
    /// - Throws: `.disk` with `isOutOfSpace` when the disk is full: nothing is lost, and a later call tries again. Any
    ///   other error ends the use of the log.
    public func writeOut() throws(LogError) {
        try checkUsable()
        guard !cutNeedsSync else { return }
        while recent.hasUnwritten {
            if !(segments.last?.takesEntries ?? false) { try roll() }
            let segment = segments[segments.count - 1]
            let run = runForSegment(segment)
            if let (chunk, entry) = run.split { recent.split(chunk, beforeEntry: entry) }
            if run.chunks > 0 { try write(run.chunks, to: segment) }
            if run.isFull { try roll() }
        }
        recent.evict(toCost: Int(limits.tailBytes.rawValue))
    }

    /// How much of what is not written yet belongs into a segment.
    private struct Run {
        /// Whole chunks, counted once `split` has been made.
        var chunks = 0
        var split: (chunk: Int, entry: Int)?
        /// Whether the segment ends after the run.
        var isFull = false
    }

    private func runForSegment(_ segment: Segment<FS>) -> Run {
        var run = Run()
        var size = segment.size
        var firstTimestamp = segment.firstTimestamp
        let waiting = recent.unwrittenChunks
        for number in waiting.indices {
            let heads = waiting[number].heads
            for entry in heads.indices {
                let head = heads[entry]
                if size > 0,
                    size + Int64(head.totalSize) > limits.segmentBytes.rawValue || isTooYoung(head, firstTimestamp)
                {
                    run.isFull = true
                    if entry > heads.startIndex {
                        run.split = (number, entry)
                        run.chunks += 1
                    }
                    return run
                }
                size += Int64(head.totalSize)
                if firstTimestamp == nil, head.recordCount.rawValue > 0 {
                    firstTimestamp = head.maxTimestamp.milliseconds
                }
            }
            run.chunks += 1
        }
        return run
    }

    /// Whether a batch is so much younger than the first of its segment that the segment ends before it.
    private func isTooYoung(_ head: EntryHead, _ firstTimestamp: Int64?) -> Bool {
        guard let firstTimestamp, !head.isMarker else { return false }
        let (age, overflow) = head.maxTimestamp.milliseconds.subtractingReportingOverflow(firstTimestamp)
        return overflow ? head.maxTimestamp.milliseconds > firstTimestamp : age >= limits.segmentMilliseconds
    }

    /// Ends the active segment, if there is one, and begins the next.
    private func roll() throws(LogError) {
        segments.last?.index.store()
        let segment = try onDisk { () throws(DiskError) in
            try Segment<FS>.create(at: written, in: directory, fs: fs, limits: limits)
        }
        directoryNeedsSync = true
        if !segments.isEmpty { checkpointIsWanted = true }
        segments.append(segment)
    }

    private func write(_ count: Int, to segment: Segment<FS>) throws(LogError) {
        do throws(DiskError) {
            let file = try segment.file()
            try Self.write(recent.unwrittenChunks.prefix(count), to: file, at: segment.size)
        } catch {
            try undoWrite(to: segment, after: error)
        }
        segment.needsSync = true
        for _ in 0..<count {
            let chunk = recent.firstUnwrittenIsNow(at: segment.size, of: segment.base)
            for head in chunk.heads { segment.note(head) }
            sizeOnDisk += Int64(chunk.bytes.readableBytes)
            unwrittenSize -= Int64(chunk.bytes.readableBytes)
        }
        written = segment.end
    }

    private static func write(
        _ chunks: ArraySlice<RecentEntries.Chunk>, to file: FS.File, at position: Int64
    ) throws(DiskError) {
        var pieces: [UnsafeRawBufferPointer] = []
        var owners: [Unmanaged<AnyObject>] = []
        pieces.reserveCapacity(chunks.count)
        owners.reserveCapacity(chunks.count)
        defer { for owner in owners { owner.release() } }
        for chunk in chunks {
            // The storage is retained until the write is done, so the pointers outlive their closures.
            chunk.bytes.withUnsafeReadableBytesWithStorageManagement { bytes, owner in
                owners.append(owner.retain())
                pieces.append(bytes)
            }
        }
        try file.write(pieces, at: ByteCount(position))
    }

    /// A write that failed may have left any part of itself behind. When the disk is full that part is cut off and the
    /// entries wait in memory; after any other error nobody knows what the file holds.
    private func undoWrite(to segment: Segment<FS>, after error: DiskError) throws(LogError) {
        guard error.isOutOfSpace else {
            hasFailed = true
            throw .disk(error)
        }
        #if MUTANTS
            if Mutant.isActive("T-D4") { throw .disk(error) }
        #endif
        try orFail { () throws(DiskError) in try segment.file().truncate(to: ByteCount(segment.size)) }
        segment.needsSync = true
        cutNeedsSync = true
        cuts += 1
        // As in `truncate`. On a full disk it may not succeed, and costs nothing then but this precaution.
        if checkpointed.isClean { try? writeCheckpoint() }
        throw .disk(error)
    }
}
