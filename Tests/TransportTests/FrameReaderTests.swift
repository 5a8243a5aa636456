// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Transport

private func framed(_ bodies: [[UInt8]]) -> [UInt8] {
    bodies.flatMap { body in
        withUnsafeBytes(of: Int32(body.count).bigEndian) { Array($0) } + body
    }
}

/// Feeds `stream` in pieces of `pieceLength`, through lent buffers where the reader lends one, as a socket would.
private func read(
    _ stream: [UInt8], pieceLength: Int, lending: Bool, limit: Int = 64 << 20
) throws -> (frames: [[UInt8]], lent: Int) {
    var reader = FrameReader(minimumLength: 8, limit: limit)
    var frames: [[UInt8]] = []
    var place = 0
    var lent = 0
    while place < stream.count {
        var room = pieceLength
        var buffer = ByteBuffer()
        if lending, let own = reader.lendBody() {
            lent += 1
            room = min(room, own.writableBytes)
            buffer = own
        }
        let end = min(stream.count, place + room)
        buffer.writeBytes(stream[place..<end])
        place = end
        reader.receive(buffer)
        while let frame = try reader.next() { frames.append(Array(frame.readableBytesView)) }
    }
    #expect(!reader.isMidFrame)
    #expect(reader.partialBytes == 0)
    return (frames, lent)
}

@Suite struct FrameReaderTests {
    @Test(arguments: [1, 2, 3, 5, 11, 12, 13, 64, 1000, 4096])
    func smallFramesComeWholeInPiecesOfAnySize(pieceLength: Int) throws {
        let bodies = [8, 9, 100, 8, 1000, 37, 4000, 8].enumerated().map { pattern($1, seed: $0) }
        let (frames, _) = try read(framed(bodies), pieceLength: pieceLength, lending: false)
        #expect(frames == bodies)
    }

    @Test(arguments: [7, 4 << 10, 128 << 10, 1 << 20, 64 << 20], [false, true])
    func hugeFramesComeWholeBetweenSmallOnes(pieceLength: Int, lending: Bool) throws {
        let sizes = [100, 200_000, 50, pieceLength == 7 ? 40_000 : 5_000_000, 8]
        let bodies = sizes.enumerated().map { pattern($1, seed: $0) }
        let (frames, lent) = try read(framed(bodies), pieceLength: pieceLength, lending: lending)
        #expect(frames.map(\.count) == sizes)
        #expect(frames == bodies)
        if lending, pieceLength <= 128 << 10, pieceLength > 7 { #expect(lent > 0) }
    }

    @Test(arguments: [Int32.min, -1, 0, 1, 7])
    func aLengthBelowARequestHeaderIsRefused(length: Int32) {
        var reader = FrameReader(minimumLength: 8, limit: 1000)
        reader.receive(ByteBuffer(integer: length))
        #expect(throws: FrameFlaw.tooShort(Int(length))) { try reader.next() }
    }

    @Test func aLengthOverTheLimitIsRefusedBeforeAnyOfItsBody() throws {
        var reader = FrameReader(minimumLength: 8, limit: 1000)
        reader.receive(ByteBuffer(integer: Int32(1001)))
        #expect(throws: FrameFlaw.tooLong(1001, limit: 1000)) { try reader.next() }
        var exact = FrameReader(minimumLength: 8, limit: 1000)
        exact.receive(ByteBuffer(integer: Int32(1000)))
        #expect(try exact.next() == nil)
    }

    @Test func anAnnouncedLengthIsNotAllocatedAtOnce() throws {
        var reader = FrameReader(minimumLength: 8, limit: 1 << 30)
        reader.receive(ByteBuffer(integer: Int32(1 << 30)))
        #expect(try reader.next() == nil)
        let loan = reader.lendBody()
        let lent = try #require(loan)
        #expect(lent.capacity == FrameReader.firstAllocation)
    }

    @Test func aLentBufferEndsWithItsFrame() throws {
        var reader = FrameReader(minimumLength: 8, limit: 1 << 30)
        reader.receive(ByteBuffer(integer: Int32(100_000)))
        #expect(try reader.next() == nil)
        // A second reference would make the buffer copy itself on the first write.
        guard var lent = reader.lendBody() else { return #expect(Bool(false), "nothing was lent") }
        #expect(lent.writableBytes == 100_000)
        #expect(reader.isLent)
        let before = lent.withUnsafeReadableBytes { $0.baseAddress }
        lent.writeRepeatingByte(7, count: 100_000)
        let after = lent.withUnsafeReadableBytes { $0.baseAddress }
        #expect(before == after, "reading into a frame's own buffer copies nothing")
        reader.receive(lent)
        #expect(try reader.next()?.readableBytes == 100_000)
    }

    @Test func whatWasHeldBackIsNotLost() throws {
        let bodies = (0..<10).map { pattern(20, seed: $0) }
        let stream = framed(bodies)
        var reader = FrameReader(minimumLength: 8, limit: 1000)
        reader.receive(ByteBuffer(bytes: stream[..<100]))
        let first = try reader.next()
        var frames = [try #require(first)]
        #expect(reader.holdsBack)
        reader.receive(ByteBuffer(bytes: stream[100...]))
        while let frame = try reader.next() { frames.append(frame) }
        #expect(frames.map { Array($0.readableBytesView) } == bodies)
        #expect(!reader.holdsBack)
    }
}
