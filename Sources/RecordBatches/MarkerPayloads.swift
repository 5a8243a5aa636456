// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// The payload of a marker of the kind `EntryKind.leaderStart`: four bytes, its term, big-endian.
///
/// An entry's term lies outside its checksum (`BatchLayout`); that of a leader's first entry is under it as well here.
/// Markers of the first versions carry nothing, and later ones may carry more.
public enum LeaderStartPayload {
    /// What is read of it, in bytes.
    public static let size = 4

    public static func encode(_ term: Term) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: size)
        buffer.writeInteger(term.rawValue)
        return buffer
    }

    /// The term that `payload` begins with; `nil` when it carries none, or a negative one.
    public static func term(in payload: some Collection<UInt8>) -> Term? {
        guard payload.count >= size else { return nil }
        let value = payload.prefix(size).reduce(Int32(0)) { $0 << 8 | Int32($1) }
        return value < 0 ? nil : Term(value)
    }
}

/// The payload of a marker of the kind `EntryKind.logStart`: eight bytes, the first offset that is left, big-endian.
public enum LogStartPayload {
    public static func encode(_ offset: Offset) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: 8)
        buffer.writeInteger(offset.rawValue)
        return buffer
    }

    /// The offset in the marker that begins at the absolute index `index`; `nil` when it carries none.
    public static func offset(in buffer: ByteBuffer, at index: Int) -> Offset? {
        guard let payload = try? MarkerEntry.payload(of: buffer, at: index),
            let value = payload.getInteger(at: payload.readerIndex, as: Int64.self), value >= 0
        else { return nil }
        return Offset(value)
    }
}
