// SPDX-License-Identifier: Apache-2.0

import Broker
import Disk
import KafkaWire
import LogModel
import LogStorage
import NIOCore
import Transport

/// Carries requests from the connections of one loop to its broker, and answers back.
final class KafkaDispatcher: RequestDispatcher {
    private let broker: Broker<NodeEnvironment>
    /// How much of what a client calls itself is kept (reliability H24).
    private let clientIDLimit: Int

    init(_ broker: Broker<NodeEnvironment>, clientIDLimit: Int) {
        self.broker = broker
        self.clientIDLimit = clientIDLimit
    }

    func dispatch(_ frame: ByteBuffer, slot: ReplySlot, on connection: KafkaConnection) {
        if connection.clientID == nil { connection.clientID = clientID(in: frame) }
        broker.handle(frame, host: "/" + connection.remoteAddress) { reply in
            switch reply {
            case .none: connection.complete(slot, with: nil)
            case .frame(let frame, let pieces): connection.complete(slot, with: Self.joined(frame, pieces))
            case .encoded(let bytes): connection.complete(slot, with: [.bytes(bytes)])
            case .close(let reason): connection.close(reason: reason)
            }
        }
    }

    func closed(_ connection: KafkaConnection) {}

    private func clientID(in frame: ByteBuffer) -> String {
        var frame = frame
        guard let header = try? RequestHeader.decode(from: &frame), let id = header.clientID else { return "" }
        return id.utf8.count <= clientIDLimit ? id : String(decoding: id.utf8.prefix(clientIDLimit), as: UTF8.self)
    }

    /// The frame cut at its splices, with the record batches in their places: from files by `sendfile`.
    private static func joined(_ frame: EncodedFrame, _ pieces: [[FetchPiece<RealFile>]]) -> [ReplyPiece] {
        guard !frame.splices.isEmpty else { return [.bytes(frame.bytes)] }
        precondition(frame.splices.count == pieces.count, "every splice has its pieces")
        var bytes = frame.bytes
        var joined: [ReplyPiece] = []
        var at = 0
        for (splice, pieces) in zip(frame.splices, pieces) {
            if let before = bytes.readSlice(length: splice.at - at), before.readableBytes > 0 {
                joined.append(.bytes(before))
            }
            at = splice.at
            for piece in pieces { joined.append(reply(piece)) }
        }
        if bytes.readableBytes > 0 { joined.append(.bytes(bytes)) }
        return joined
    }

    private static func reply(_ piece: FetchPiece<RealFile>) -> ReplyPiece {
        switch piece {
        case .memory(let bytes): return .bytes(bytes)
        case .file(let range):
            guard let descriptor = range.file.descriptor else {
                preconditionFailure("a real file has a descriptor")
            }
            return .file(
                owner: range.file, descriptor: descriptor, position: range.position.rawValue,
                size: Int(range.size.rawValue))
        }
    }
}
