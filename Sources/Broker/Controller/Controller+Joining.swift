// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import MetadataCore
public import NIOCore
import Replication

/// What a node that wants to belong to the cluster is told.
public enum JoinAnswer: Hashable, Sendable {
    /// It has registered. These are all nodes, itself included, so that it can find them.
    case admitted(ClusterID, [NodeRegistration])
    /// It may not, and why.
    case refused(String)
    /// It is to ask again, and why.
    case later(String)

    private static let admittedKind: UInt8 = 1
    private static let refusedKind: UInt8 = 2
    private static let laterKind: UInt8 = 3

    /// One byte that says which, then a text; or the cluster's id (2 × u64) and the nodes, each as the command that
    /// registers it behind its length (u32).
    public func encoded() -> ByteBuffer {
        var bytes = ByteBuffer()
        switch self {
        case .admitted(let cluster, let nodes):
            bytes.writeMultipleIntegers(Self.admittedKind, cluster.high, cluster.low)
            for node in nodes {
                let command = MetadataCommand.registerNode(node).encode()
                bytes.writeInteger(UInt32(clamping: command.count))
                bytes.writeBytes(command)
            }
        case .refused(let reason):
            bytes.writeInteger(Self.refusedKind)
            bytes.writeString(reason)
        case .later(let reason):
            bytes.writeInteger(Self.laterKind)
            bytes.writeString(reason)
        }
        return bytes
    }

    /// The longest reason that is taken over.
    private static let reasonLimit = 4_096

    /// `nil` for bytes that no node of this version writes.
    public init?(decoding bytes: ByteBuffer) {
        var bytes = bytes
        switch bytes.readInteger(as: UInt8.self) {
        case Self.admittedKind:
            guard let (high, low) = bytes.readMultipleIntegers(as: (UInt64, UInt64).self) else { return nil }
            var nodes: [NodeRegistration] = []
            while bytes.readableBytes > 0 {
                guard let command = bytes.readLengthPrefixedSlice(as: UInt32.self),
                    case .registerNode(let node)? = try? MetadataCommand(decoding: Array(command.readableBytesView)),
                    nodes.count < ClusterState.nodesMax
                else { return nil }
                nodes.append(node)
            }
            self = .admitted(ClusterID(high: high, low: low), nodes)
        case Self.refusedKind: self = .refused(Self.reason(&bytes))
        case Self.laterKind: self = .later(Self.reason(&bytes))
        default: return nil
        }
    }

    private static func reason(_ bytes: inout ByteBuffer) -> String {
        bytes.readString(length: min(bytes.readableBytes, reasonLimit)) ?? ""
    }
}

extension Controller {
    /// Registers a node that introduces itself, at first or with something changed.
    ///
    /// - Parameters:
    ///   - reachable: the nodes that this one is connected to.
    ///   - done: called on this loop once the registration is in force, or will not be.
    public func admit(
        _ node: NodeRegistration, reachable: [NodeID], done: @escaping (JoinAnswer) -> Void
    ) {
        // What earlier leaders have registered must be known before anybody is judged by it.
        guard isLeader, replica?.isInformed ?? false else { return done(.later("the controller is only just elected")) }
        guard let cluster = state.clusterID else { return done(.later("the cluster has not formed yet")) }
        guard !joining.contains(node.id) else {
            return done(.later("another node \(node.id.rawValue) is just being registered"))
        }
        switch state.admission(of: node, reachable: reachable) {
        case .known: done(.admitted(cluster, state.nodes))
        case .refused(let reason): done(.refused(reason))
        case .admitted:
            joining.insert(node.id)
            propose(.registerNode(node)) { result in
                self.joining.remove(node.id)
                switch result {
                case .success: done(.admitted(cluster, self.state.nodes))
                case .failure(.refused(let refusal)): done(.refused("\(refusal)"))
                case .failure(let failure): done(.later(failure.explanation))
                }
            }
        }
    }
}
