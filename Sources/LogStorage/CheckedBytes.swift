// SPDX-License-Identifier: Apache-2.0

/// Which bytes of a segment's file are known to be right: those that this process has written, and those that it has
/// read and compared with their checksums. All ends are entry boundaries.
///
/// What a disk has done to the others while nobody looked is found before a client is sent them.
struct CheckedBytes {
    /// From here on the file was written by this process.
    private var writtenFrom: Int64
    /// Below that, what was read and found right: ascending, apart from each other.
    private var ranges: [Range<Int64>] = []

    /// Many readers at many places could make any number; what is forgotten is checked once more.
    private static let limit = 64

    /// - Parameter size: what the file held when it was opened.
    init(of size: Int64) { writtenFrom = size }

    /// - Complexity: O(*n*) in the places read so far, at most 64.
    func contains(_ bytes: Range<Int64>) -> Bool {
        bytes.lowerBound >= writtenFrom
            || ranges.contains { $0.contains(bytes.lowerBound) && $0.upperBound >= min(bytes.upperBound, writtenFrom) }
    }

    /// Takes note that these bytes were read, and are right.
    mutating func add(_ bytes: Range<Int64>) {
        var added = bytes.clamped(to: 0..<writtenFrom)
        guard !added.isEmpty else { return }
        ranges.removeAll { range in
            guard range.upperBound >= added.lowerBound, range.lowerBound <= added.upperBound else { return false }
            added = min(range.lowerBound, added.lowerBound)..<max(range.upperBound, added.upperBound)
            return true
        }
        ranges.insert(added, at: ranges.firstIndex { $0.lowerBound > added.lowerBound } ?? ranges.count)
        if ranges.count > Self.limit, let least = ranges.indices.min(by: { ranges[$0].count < ranges[$1].count }) {
            ranges.remove(at: least)
        }
        while let last = ranges.last, last.upperBound == writtenFrom {
            writtenFrom = last.lowerBound
            ranges.removeLast()
        }
    }

    /// The file ends at `position` now; what comes there is written by this process.
    mutating func cut(at position: Int64) {
        writtenFrom = min(writtenFrom, position)
        ranges = ranges.map { $0.clamped(to: 0..<writtenFrom) }.filter { !$0.isEmpty }
    }
}
