// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// Walks over entries that lie back to back, without copying.
///
/// Gives each entry's head and where it begins. Ends at the end of the bytes; entries that are cut off or cannot be
/// are errors, and the walk stays where it was. Does not compute checksums.
public struct EntryWalker {
    public let bytes: UnsafeRawBufferPointer
    /// Where the next entry begins, from the start of `bytes`.
    public private(set) var position = 0

    /// - Parameter bytes: must stay valid as long as the walker is used.
    public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The next entry, or `nil` at the end.
    public mutating func next() throws(BatchError) -> (head: EntryHead, position: Int)? {
        guard position < bytes.count else { return nil }
        let rest = bytes.slice(position..<bytes.count)
        let head = try EntryHead.parse(rest)
        guard head.totalSize <= rest.count else {
            throw BatchError(.truncated(needed: head.totalSize, available: rest.count))
        }
        defer { position += head.totalSize }
        return (head, position)
    }
}

extension EntryHead {
    /// The heads of all entries in the readable bytes of `buffer`.
    ///
    /// - Parameter verifyingChecksums: whether each entry's CRC is checked too.
    /// - Throws: when an entry cannot be, or the last one is cut off.
    /// - Complexity: O(entries), or O(bytes) with checksums.
    public static func all(
        in buffer: ByteBuffer, verifyingChecksums: Bool = false
    ) throws(BatchError) -> [EntryHead] {
        try buffer.withUnsafeReadableBytes { (bytes) throws(BatchError) in
            var walker = EntryWalker(bytes)
            var heads: [EntryHead] = []
            while let (head, position) = try walker.next() {
                if verifyingChecksums {
                    try head.verifyChecksum(bytes.slice(position..<position + head.totalSize))
                }
                heads.append(head)
            }
            return heads
        }
    }
}
