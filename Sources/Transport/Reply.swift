// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// The place of one request's answer among the answers of its connection.
public struct ReplySlot: Hashable, Sendable {
    /// Counts the requests of a connection from 0.
    let sequence: UInt64
}

/// A part of an answer. The parts of one answer together are the whole frame, *with* its length prefix.
public enum ReplyPiece {
    case bytes(ByteBuffer)
    /// `size` bytes of an open file, sent by `sendfile`. `owner` keeps `descriptor` open and is kept until they are
    /// sent or the connection is gone.
    case file(owner: any AnyObject & Sendable, descriptor: CInt, position: Int64, size: Int)

    var size: Int {
        switch self {
        case .bytes(let buffer): buffer.readableBytes
        case .file(_, _, _, let size): size
        }
    }
}

/// What answers the requests of all Kafka connections of one event loop. Made, used and dropped on that loop.
public protocol RequestDispatcher: AnyObject {
    /// Takes one request, without its length prefix. It must lead to exactly one `connection.complete(slot, with:)`,
    /// now or later, on this loop. `frame` may be a slice of a larger receive buffer: whoever keeps it for long should
    /// copy it.
    func dispatch(_ frame: ByteBuffer, slot: ReplySlot, on connection: KafkaConnection)
    /// The connection is gone. Completions for it are still allowed and do nothing.
    func closed(_ connection: KafkaConnection)
}
