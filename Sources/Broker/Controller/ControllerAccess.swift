// SPDX-License-Identifier: Apache-2.0

public import LogModel
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

    /// Asks whoever leads a partition to hand its leadership to another of its replicas. What becomes of it is seen
    /// from who leads.
    func transferLeadership(of partition: PartitionID, from leader: NodeID, to heir: NodeID)
}

extension ControllerAccess {
    public func transferLeadership(of partition: PartitionID, from leader: NodeID, to heir: NodeID) {}
}

/// What one node asks another's controller: the body of a forwarded letter.
public enum ControllerRequest: Sendable {
    /// A client's admin request, to be answered with a whole Kafka response frame.
    case kafka(ByteBuffer)
    /// A command, to be answered with one byte: 1 when it is in force.
    case command(MetadataCommand)
    /// A node wants to belong to the cluster, or says something new of itself; to be answered with a `JoinAnswer`.
    case join(NodeRegistration)
    /// The leader of a partition is to hand its leadership over. Any node may be asked.
    case transfer(PartitionID, to: NodeID)

    /// The client id of requests that a node makes for itself. Brokers pass clients' requests on without any, so it
    /// cannot be claimed.
    static let ownClientID = "godwit"

    private static let kafkaKind: UInt8 = 1
    private static let commandKind: UInt8 = 2
    private static let joinKind: UInt8 = 4
    private static let transferKind: UInt8 = 3

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
        case .transfer(let partition, let heir):
            bytes.writeInteger(Self.transferKind)
            bytes.writeMultipleIntegers(partition.topic.high, partition.topic.low, partition.index, heir.rawValue)
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
        case Self.transferKind:
            guard let (high, low, index, heir) = bytes.readMultipleIntegers(as: (UInt64, UInt64, Int32, Int32).self),
                index >= 0, heir >= 0, bytes.readableBytes == 0
            else { return nil }
            self = .transfer(PartitionID(topic: TopicID(high: high, low: low), index: index), to: NodeID(heir))
        default: return nil
        }
    }
}
