// SPDX-License-Identifier: Apache-2.0

import LogModel
public import MetadataCore
public import NIOCore

/// The way of a loop's broker to the cluster's controller, wherever that is.
public protocol ControllerAccess: AnyObject {
    /// Has the controller answer an admin request.
    ///
    /// - Parameters:
    ///   - frame: the request as it came, header and body, without its length.
    ///   - reply: called once, on the asking loop, with the whole answer frame, or with `nil` when no controller could
    ///     be reached in time.
    func administer(_ frame: ByteBuffer, reply: @escaping (ByteBuffer?) -> Void)

    /// Asks for a producer id that nobody in the cluster had before.
    ///
    /// - Parameter reply: called once, on the asking loop; with `nil` when none could be had in time.
    func producerID(reply: @escaping (Int64?) -> Void)
}

/// What one node asks another's controller: the body of a forwarded letter.
public enum ControllerRequest: Sendable {
    /// A client's admin request, to be answered with a whole Kafka response frame.
    case kafka(ByteBuffer)
    /// A command, to be answered with one byte: 1 when it is in force.
    case command(MetadataCommand)
    /// A node wants to belong to the cluster, or says something new of itself; to be answered with a `JoinAnswer`.
    case join(NodeRegistration)

    /// The client id of requests that a node makes for itself. Brokers pass clients' requests on without any, so it
    /// cannot be claimed.
    static let ownClientID = "godwit"

    private static let kafkaKind: UInt8 = 1
    private static let commandKind: UInt8 = 2
    private static let joinKind: UInt8 = 3

    public func encoded() -> ByteBuffer {
        var bytes = ByteBuffer()
        switch self {
        case .kafka(let frame):
            bytes.writeInteger(Self.kafkaKind)
            bytes.writeImmutableBuffer(frame)
        case .command(let command):
            bytes.writeInteger(Self.commandKind)
            bytes.writeBytes(command.encode())
        case .join(let node):
            bytes.writeInteger(Self.joinKind)
            bytes.writeBytes(MetadataCommand.registerNode(node).encode())
        }
        return bytes
    }

    /// `nil` for bytes that no node of this version writes.
    public init?(decoding bytes: ByteBuffer) {
        var bytes = bytes
        switch bytes.readInteger(as: UInt8.self) {
        case Self.kafkaKind: self = .kafka(bytes)
        case Self.commandKind:
            guard let command = try? MetadataCommand(decoding: Array(bytes.readableBytesView)) else { return nil }
            self = .command(command)
        case Self.joinKind:
            guard case .registerNode(let node)? = try? MetadataCommand(decoding: Array(bytes.readableBytesView)) else {
                return nil
            }
            self = .join(node)
        default: return nil
        }
    }
}
