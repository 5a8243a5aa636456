// SPDX-License-Identifier: Apache-2.0

import LogModel
import LogStorage
import NIOCore
import RaftCore
import RecordBatches

/// The entries that travelled beside an `append`, checked before Raft hears of them.
struct ReceivedEntries {
    let bytes: ByteBuffer
    let start: LogIndex
    let heads: [EntryHead]
    /// What the markers among them say of who belongs to the group.
    let changes: [MembersEntry]

    enum Flaw: Error, CustomStringConvertible {
        case damaged(BatchError)
        case mismatch(String)

        var description: String {
            switch self {
            case .damaged(let error): "an entry is damaged: \(error)"
            case .mismatch(let what): what
            }
        }
    }

    /// The payload of a letter that carries state instead of entries.
    init(state bytes: ByteBuffer) {
        self.bytes = bytes
        self.start = .zero
        self.heads = []
        self.changes = []
    }

    /// Every entry's checksum and place is checked here: a peer's mistake must not reach the disk (reliability H28).
    init(_ bytes: ByteBuffer, of append: Append) throws(Flaw) {
        var heads: [EntryHead] = []
        var changes: [MembersEntry] = []
        var at = append.prev.end
        var position = bytes.readerIndex
        var run = 0
        var next: Offset?
        while position < bytes.writerIndex {
            let head: EntryHead
            do {
                head = try EntryHead.parse(bytes, at: position)
                try head.verifyChecksum(bytes, at: position)
            } catch {
                throw .damaged(error)
            }
            guard run < append.runs.count, head.term == append.runs[run].term else {
                throw .mismatch("the entry at \(at) has term \(head.term), which was not announced")
            }
            // The offset lies outside what the checksum covers.
            guard next == nil || next == head.baseOffset else {
                throw .mismatch("the entry at \(at) has offset \(head.baseOffset) where \(next ?? .zero) follows")
            }
            next = head.nextOffset
            if head.kind == .membership {
                changes.append(MembersEntry(slot: at, members: try Self.members(in: bytes, at: position)))
            }
            at = at.advanced(by: head.slots)
            guard at <= append.runs[run].end else { throw .mismatch("the entries are longer than announced") }
            if at == append.runs[run].end { run += 1 }
            heads.append(head)
            position += head.totalSize
        }
        guard run == append.runs.count else { throw .mismatch("the entries end at \(at), sooner than announced") }
        self.bytes = bytes
        self.start = append.prev.end
        self.heads = heads
        self.changes = changes
    }

    private static func members(in bytes: ByteBuffer, at position: Int) throws(Flaw) -> RaftMembers {
        guard let payload = try? MarkerEntry.payload(of: bytes, at: position),
            let members = MembershipPayload.decode(payload)
        else { throw .mismatch("who belongs to the group cannot be read") }
        return members
    }

    /// The entries that start at or after `index`; `nil` when `index` is inside one that is no hole. Of a hole the rest
    /// is given: the leader's compaction may have merged what we hold entry by entry.
    func suffix(from index: LogIndex) -> (ByteBuffer, [EntryHead])? {
        var at = start
        var position = bytes.readerIndex
        for (number, head) in heads.enumerated() {
            if at == index {
                guard let rest = bytes.getSlice(at: position, length: bytes.writerIndex - position) else { return nil }
                return (rest, Array(heads[number...]))
            }
            if index < at.advanced(by: head.slots), at < index, head.isHole {
                return rest(of: head, at: at, from: index, number: number, position: position)
            }
            at = at.advanced(by: head.slots)
            position += head.totalSize
        }
        return nil
    }
}

extension ReceivedEntries {
    private func rest(
        of hole: EntryHead, at start: LogIndex, from index: LogIndex, number: Int, position: Int
    ) -> (ByteBuffer, [EntryHead])? {
        var rest = hole.restOfHole(skipping: index.slots(since: start))
        guard let head = try? EntryHead.parse(rest) else { return nil }
        let next = position + hole.totalSize
        guard let behind = bytes.getSlice(at: next, length: bytes.writerIndex - next) else { return nil }
        rest.writeImmutableBuffer(behind)
        return (rest, [head] + heads[(number + 1)...])
    }
}

extension Replica {
    /// Whether the entries continue this log's offsets, when Raft is going to find that they continue its indexes.
    ///
    /// Only then: an append that does not fit must reach Raft all the same, which refuses it with a hint.
    func checkPlace(of entries: ReceivedEntries, in append: Append) throws(ReceivedEntries.Flaw) {
        let start = log.start.position
        guard append.prev.end <= log.end else { return }
        if append.prev.end >= start.end {
            let ownTerm =
                append.prev.end == start.end ? start.term : log.terms.term(at: append.prev.end.advanced(by: -1))
            guard ownTerm == append.prev.term, let first = entries.heads.first else { return }
            try Self.require(first, at: append.prev.end, hasOffset: log.offset(at: append.prev.end))
        } else if let (_, rest) = entries.suffix(from: start.end), let first = rest.first {
            try Self.require(first, at: start.end, hasOffset: log.start.offset)
        }
    }

    private static func require(
        _ head: EntryHead, at index: LogIndex, hasOffset offset: Offset
    ) throws(ReceivedEntries.Flaw) {
        guard head.baseOffset == offset else {
            throw .mismatch("the entry at \(index) has offset \(head.baseOffset), but \(offset) belongs there")
        }
    }
}
