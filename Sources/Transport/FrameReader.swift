// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Why a stream of frames cannot go on.
enum FrameFlaw: Error, Hashable, CustomStringConvertible {
    case tooShort(Int)
    case tooLong(Int, limit: Int)

    var description: String {
        switch self {
        case .tooShort(let length): "a frame claims a length of \(length)"
        case .tooLong(let length, let limit): "a frame of \(length) bytes is over the limit of \(limit)"
        }
    }
}

/// Cuts a byte stream into frames that each begin with their length (four bytes, big endian).
///
/// A frame that lies whole in what one read brought is a slice of it. Any other frame gets a buffer of its own, of
/// exactly its size, as soon as its length is known; what is missing can then be read straight into that buffer.
///
///     receive buffer │len frame│len frame│len fra…     next reads go here
///                     └ slice ─┘└ slice ─┘└ copied ─▶ own buffer │fra……………│
struct FrameReader {
    let minimumLength: Int
    /// The longest frame allowed from now on.
    var limit: Int
    /// Received and not yet cut. After `next()` said `nil`, at most three bytes of a length.
    private var carry = ByteBuffer()
    /// The buffer of the frame under way; `nil` when there is none, and while the socket reads into it.
    private var body: ByteBuffer?
    /// The length of the frame under way; 0 when there is none.
    private var bodyLength = 0
    private var bodyFilled = 0
    private(set) var isLent = false
    /// Whether the last frame had a buffer of its own that was worth reading into.
    private(set) var lastWasLarge = false

    /// Below this, one more copy is cheaper than one more system call.
    static let directRead = 32 << 10
    /// A frame's own buffer starts no larger than this, however long the frame says it is.
    static let firstAllocation = 4 << 20

    init(minimumLength: Int, limit: Int) {
        self.minimumLength = minimumLength
        self.limit = limit
    }

    /// Bytes held of a frame that is not complete.
    var partialBytes: Int { bodyFilled }
    /// Whether cutting was stopped while there was perhaps another whole frame.
    var holdsBack: Bool { carry.readableBytes >= 4 }
    var isMidFrame: Bool { bodyLength > 0 || carry.readableBytes > 0 }

    /// Hands out the buffer of the frame under way, so that the socket reads into its free part, when that is worth it.
    /// The next `receive` must bring it back.
    mutating func lendBody() -> ByteBuffer? {
        guard !isLent, carry.readableBytes == 0, bodyLength - bodyFilled >= Self.directRead, var lent = body else {
            return nil
        }
        body = nil
        if lent.writableBytes == 0 { lent = Self.grown(&lent, to: bodyLength) }
        isLent = true
        return lent
    }

    mutating func receive(_ buffer: ByteBuffer) {
        if isLent {
            isLent = false
            bodyFilled = buffer.readableBytes
            body = buffer
        } else if carry.readableBytes == 0 {
            carry = buffer
        } else {
            carry.writeImmutableBuffer(buffer)
        }
    }

    /// The next whole frame, without its length, or `nil` until more is received.
    mutating func next() throws(FrameFlaw) -> ByteBuffer? {
        if bodyLength > 0 { return continueFrame() }
        guard let word = carry.getInteger(at: carry.readerIndex, as: Int32.self) else {
            releaseCarry()
            return nil
        }
        let length = Int(word)
        guard length >= minimumLength else { throw .tooShort(length) }
        guard length <= limit else { throw .tooLong(length, limit: limit) }
        carry.moveReaderIndex(forwardBy: 4)
        if let frame = carry.readSlice(length: length) {
            lastWasLarge = false
            return frame
        }
        bodyLength = length
        bodyFilled = 0
        body = Self.exactBuffer(capacity: min(length, Self.firstAllocation))
        return continueFrame()
    }

    private mutating func continueFrame() -> ByteBuffer? {
        guard var filling = body else { return nil }
        body = nil
        let missing = bodyLength - bodyFilled
        if missing > 0, var piece = carry.readSlice(length: min(missing, carry.readableBytes)) {
            while piece.readableBytes > 0 {
                if filling.writableBytes == 0 { filling = Self.grown(&filling, to: bodyLength) }
                if var part = piece.readSlice(length: min(piece.readableBytes, filling.writableBytes)) {
                    filling.writeBuffer(&part)
                }
            }
        }
        bodyFilled = filling.readableBytes
        guard bodyFilled == bodyLength else {
            body = filling
            releaseCarry()
            return nil
        }
        lastWasLarge = bodyLength >= 2 * Self.directRead
        bodyLength = 0
        bodyFilled = 0
        return filling
    }

    /// Lets go of the receive buffer, which is used again once nobody else refers to it.
    private mutating func releaseCarry() {
        carry = carry.readableBytes == 0 ? ByteBuffer() : ByteBuffer(bytes: carry.readableBytesView)
    }

    /// A buffer that cannot be written beyond `capacity`, so that no read takes a part of the next frame along.
    private static func exactBuffer(capacity: Int) -> ByteBuffer {
        var whole = ByteBufferAllocator().buffer(capacity: capacity)
        whole.moveWriterIndex(to: capacity)
        guard var exact = whole.readSlice(length: capacity) else { return whole }
        exact.clear(keepingStorageOf: &whole)
        return exact
    }

    private static func grown(_ buffer: inout ByteBuffer, to length: Int) -> ByteBuffer {
        var larger = exactBuffer(capacity: min(length, buffer.capacity * 4))
        larger.writeBuffer(&buffer)
        return larger
    }
}

extension ByteBuffer {
    /// Empties a slice in place: its storage must have no other owner, so the buffer it was cut from gives it up first.
    fileprivate mutating func clear(keepingStorageOf whole: inout ByteBuffer) {
        whole = ByteBuffer()
        moveWriterIndex(to: 0)
    }
}
