// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RecordBatches

/// A written entry and where it lies.
struct Place {
    let segment: Int
    let position: Int64
    let head: EntryHead
    let index: LogIndex
}

extension PartitionLog {
    /// The written entry that takes the slot `index`.
    ///
    /// - Precondition: `index` is below `written`, and not before the start.
    func locate(_ index: LogIndex) throws(LogError) -> Place {
        guard let number = segmentNumber(at: index) else {
            preconditionFailure("slot \(index) is not in the files: \(start) to \(written)")
        }
        if let damage = segments[number].damage.first { throw damage.error }
        if let entry = recent.entry(at: index), entry.chunk.segment == segments[number].base {
            return Place(segment: number, position: entry.position, head: entry.head, index: entry.index)
        }
        let segment = segments[number]
        do throws(IndexDamage) {
            let row = try segment.index.last { $0.index <= index }
            if let place = try walk(number, to: index, from: row) { return place }
        } catch {}
        try segment.rebuildIndex()
        guard let place = try? walk(number, to: index, from: nil) else {
            throw .corrupt(.init(file: segment.path, position: .zero, detail: "no entry takes the slot \(index)"))
        }
        return place
    }

    /// Walks from an index row to the entry at `index`. `nil` or an error when the row does not fit the segment.
    private func walk(_ number: Int, to index: LogIndex, from row: IndexRow?) throws(IndexDamage) -> Place? {
        let segment = segments[number]
        var at = row?.index ?? segment.base
        do throws(LogError) {
            var cursor = try segment.cursor(from: row?.position ?? 0)
            while let (head, position) = try cursor.next() {
                guard head.baseOffset == markers.offset(at: at), head.isMarker == markers.contains(at) else {
                    return nil
                }
                let next = at.advanced(by: head.slots)
                if index < next { return Place(segment: number, position: position, head: head, index: at) }
                at = next
            }
        } catch {
            throw IndexDamage()
        }
        return nil
    }

    /// The last entry boundary at or before `position` of a segment.
    func boundary(atOrBefore position: Int64, in number: Int) throws(LogError) -> Int64 {
        let segment = segments[number]
        guard position < segment.size else { return segment.size }
        if let damage = segment.damage.first { throw damage.error }
        if let boundary = recent.boundary(atOrBefore: position, of: segment.base) { return boundary }
        let row: IndexRow?
        do throws(IndexDamage) {
            row = try segment.index.last { $0.position <= position }
        } catch {
            try segment.rebuildIndex()
            row = nil
        }
        var boundary = row?.position ?? 0
        var cursor = try segment.cursor(from: boundary)
        while let (head, start) = try cursor.next() {
            boundary = start
            guard start + Int64(head.totalSize) <= position else { break }
            boundary += Int64(head.totalSize)
        }
        return boundary
    }

    /// All bytes of a written entry.
    func bytes(of place: Place) throws(LogError) -> ByteBuffer {
        if let entry = recent.entry(at: place.index), entry.index == place.index { return entry.bytes }
        let segment = segments[place.segment]
        let file = try onDisk { () throws(DiskError) in try segment.file() }
        return try file.readBuffer(place.head.totalSize, at: place.position, path: segment.path)
    }
}

extension RecentEntries.Entry {
    /// The entry's bytes, shared with its chunk.
    var bytes: ByteBuffer {
        chunk.bytes.getSlice(at: chunk.bytes.readerIndex + skipped, length: head.totalSize) ?? ByteBuffer()
    }
}
