// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RecordBatches

/// The entries appended last, as they came: those not written out yet, and before them as many as memory allows.
///
///     evicted │ written out, kept for followers │ not written out
///             first                             unwritten          chunks.count
struct RecentEntries {
    /// Some entries back to back, in one buffer and, once written, in one segment.
    struct Chunk {
        var start: LogIndex
        var end: LogIndex
        var bytes: ByteBuffer
        var heads: ArraySlice<EntryHead>
        /// The segment's base index; `nil` until written.
        var segment: LogIndex?
        /// Where the chunk begins in the segment.
        var position: Int64 = 0

        /// What keeping it costs, about.
        var cost: Int { bytes.readableBytes + 128 * heads.count + 160 }
    }

    /// One entry of a chunk.
    struct Entry {
        let head: EntryHead
        let index: LogIndex
        /// Bytes before it in its chunk.
        let skipped: Int
        let chunk: Chunk
        /// In the segment, when it is written.
        var position: Int64 { chunk.position + Int64(skipped) }
    }

    private var chunks: [Chunk] = []
    private var first = 0
    private var unwritten = 0
    private var cost = 0

    var isEmpty: Bool { first == chunks.count }
    var hasUnwritten: Bool { unwritten < chunks.count }
    /// The slot of the first entry that is held; `nil` when there is none.
    var start: LogIndex? { isEmpty ? nil : chunks[first].start }
    var unwrittenChunks: ArraySlice<Chunk> { chunks[unwritten...] }

    mutating func append(_ chunk: Chunk) {
        cost += chunk.cost
        chunks.append(chunk)
    }

    /// Notes that the first unwritten chunk now lies at `position` of `segment`, and gives it.
    mutating func firstUnwrittenIsNow(at position: Int64, of segment: LogIndex) -> Chunk {
        chunks[unwritten].segment = segment
        chunks[unwritten].position = position
        unwritten += 1
        return chunks[unwritten - 1]
    }

    /// Divides the unwritten chunk `number` (an index of `unwrittenChunks`) before its entry `entry`.
    mutating func split(_ number: Int, beforeEntry entry: Int) {
        let chunk = chunks[number]
        var head = chunk
        var rest = chunk
        head.heads = chunk.heads[chunk.heads.startIndex..<entry]
        rest.heads = chunk.heads[entry...]
        let size = head.heads.reduce(0) { $0 + $1.totalSize }
        let slots = head.heads.reduce(0) { $0 + $1.slots }
        rest.bytes.moveReaderIndex(forwardBy: size)
        head.bytes = chunk.bytes.getSlice(at: chunk.bytes.readerIndex, length: size) ?? ByteBuffer()
        head.end = chunk.start.advanced(by: slots)
        rest.start = head.end
        chunks[number] = head
        chunks.insert(rest, at: number + 1)
        cost += head.cost + rest.cost - chunk.cost
    }

    /// Lets go of the oldest written chunks until what is kept costs at most `limit`.
    mutating func evict(toCost limit: Int) {
        while first < unwritten, cost > limit {
            cost -= chunks[first].cost
            chunks[first].bytes = ByteBuffer()
            chunks[first].heads = []
            first += 1
        }
        if first == chunks.count {
            if first > 0 { self = RecentEntries() }
        } else if first >= 64, first * 2 >= chunks.count {
            chunks.removeFirst(first)
            unwritten -= first
            first = 0
        }
    }

    /// Lets go of written chunks that begin before `index`.
    mutating func evict(before index: LogIndex) {
        while first < unwritten, chunks[first].start < index {
            cost -= chunks[first].cost
            chunks[first].bytes = ByteBuffer()
            chunks[first].heads = []
            first += 1
        }
        evict(toCost: .max)
    }

    /// Forgets the entries from `end` on, which must be a boundary.
    mutating func truncate(to end: LogIndex) {
        while let last = chunks.last, chunks.count > first, last.start >= end {
            cost -= last.cost
            chunks.removeLast()
        }
        unwritten = min(unwritten, chunks.count)
        guard chunks.count > first, let last = chunks.last, last.end > end else { return }
        guard let entry = entry(at: end), entry.index == end else { preconditionFailure("\(end) is no boundary") }
        let kept = last.heads.startIndex + entryCount(in: last, before: end)
        var cut = last
        cut.heads = last.heads[..<kept]
        cut.bytes = last.bytes.getSlice(at: last.bytes.readerIndex, length: entry.skipped) ?? ByteBuffer()
        cut.end = end
        cost += cut.cost - last.cost
        chunks[chunks.count - 1] = cut
    }

    private func entryCount(in chunk: Chunk, before end: LogIndex) -> Int {
        var at = chunk.start
        var count = 0
        for head in chunk.heads where at < end {
            at = at.advanced(by: head.slots)
            count += 1
        }
        return count
    }

    /// The entry that takes the slot `index`; `nil` when it is not held.
    func entry(at index: LogIndex) -> Entry? {
        guard let number = chunkNumber(at: index) else { return nil }
        let chunk = chunks[number]
        var at = chunk.start
        var skipped = 0
        for head in chunk.heads {
            let next = at.advanced(by: head.slots)
            if index < next { return Entry(head: head, index: at, skipped: skipped, chunk: chunk) }
            at = next
            skipped += head.totalSize
        }
        return nil
    }

    /// The last entry boundary at or before `position` of `segment`; `nil` when it is not known here.
    func boundary(atOrBefore position: Int64, of segment: LogIndex) -> Int64? {
        let number = firstChunk { chunk in
            guard let base = chunk.segment else { return true }
            return base > segment || base == segment && chunk.position > position
        }
        guard number > first else { return nil }
        let chunk = chunks[number - 1]
        guard chunk.segment == segment else { return nil }
        var boundary = chunk.position
        for head in chunk.heads {
            guard boundary + Int64(head.totalSize) <= position else { return boundary }
            boundary += Int64(head.totalSize)
        }
        return boundary
    }

    /// The chunks from the one that holds `index` on.
    func chunks(from index: LogIndex) -> ArraySlice<Chunk> {
        guard let number = chunkNumber(at: index) else { return [] }
        return chunks[number...]
    }

    private func chunkNumber(at index: LogIndex) -> Int? {
        let after = firstChunk { $0.start > index }
        guard after > first, index < chunks[after - 1].end else { return nil }
        return after - 1
    }

    private func firstChunk(where isBehind: (Chunk) -> Bool) -> Int {
        var low = first
        var high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            if isBehind(chunks[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
