// SPDX-License-Identifier: Apache-2.0

import Glibc
public import LogModel
public import NIOCore
import NIOPosix
import PeerWire

/// What connections between nodes may use.
public struct PeerLimits: Sendable {
    /// The largest frame either side may send, without its length. Larger letters are dropped by the sender.
    public var maxFrameBytes = 64 << 20
    /// Bytes that may wait to be sent on one lane to one peer; what would exceed it is dropped and counted.
    public var maxQueuedBytes = 32 << 20
    /// How long the other side may take to say who it is, or to answer when asked whether it still lives.
    public var helloDeadline = TimeAmount.seconds(2)
    /// The pause before a peer is dialled again; doubles from the first to the last.
    public var redialFirst = TimeAmount.milliseconds(20)
    public var redialLast = TimeAmount.milliseconds(500)
    public var connectTimeout = TimeAmount.seconds(2)
    /// How long sent bytes may stay unacknowledged before the kernel gives the connection up (TCP_USER_TIMEOUT).
    public var userTimeout = TimeAmount.seconds(10)
    /// Requests forwarded to one peer, or by one connection of a peer, that wait for their answers.
    public var maxForwards = 1024
    /// Connections one listener holds.
    public var maxConnections = 4096
    /// Of those, the ones of nodes that the cluster does not know.
    public var maxGuests = 256
    /// Requests of one guest that wait for their answers; with more it is hung up on.
    public var maxGuestRequests = 4
    /// The largest frame a guest may send, without its length.
    public var guestFrameBytes = 16 << 10
    /// How often a guest asks whether the cluster knows it by now.
    public var guestPause = TimeAmount.milliseconds(100)

    public init() {}

    /// Bytes a letter may take beside its payload and its term runs.
    static let letterHeadBytes = 80
    /// Two varints: five bytes for a term, nine for an index.
    static let termRunBytes = 14
    static let forwardHeadBytes = 16
    /// No first frame is longer; whoever announces more is not one of us.
    static let helloFrameBytes = 128
}

/// Where a node listens for its peers.
public struct PeerEndpoint: Hashable, Sendable, CustomStringConvertible {
    /// A name or an address.
    public var host: String
    public var port: Int

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    public var description: String { "\(host):\(port)" }
}

/// What a node says of itself to its peers.
public struct PeerIdentity: Hashable, Sendable {
    /// `nil` while the node knows of no cluster; it then talks to any.
    public var cluster: TopicID?
    public var node: NodeID
    /// Made once for each data directory (KIP-853).
    public var directory: TopicID
    /// The data directory was made at this start.
    public var isFresh: Bool

    public init(cluster: TopicID?, node: NodeID, directory: TopicID, isFresh: Bool = false) {
        self.cluster = cluster == .zero ? nil : cluster
        self.node = node
        self.directory = directory
        self.isFresh = isFresh
    }

    func hello(shard: UInt32, lane: PeerLane) -> Hello {
        Hello(cluster: cluster, node: node, directory: directory, shard: shard, lane: lane, fresh: isFresh)
    }

    func isForeign(_ hello: Hello) -> Bool {
        guard let mine = cluster, let theirs = hello.cluster else { return false }
        return mine != theirs
    }
}

/// Why a forwarded request has no answer.
public enum ForwardFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// Nothing was sent.
    case notConnected
    /// Nothing was sent: too much waits already.
    case overloaded
    /// Nothing was sent: the request is over `PeerLimits.maxFrameBytes`.
    case tooLarge
    /// The connection broke; whether the request was carried out is not known.
    case connectionLost
    /// No answer in time; whether the request was carried out is not known.
    case timedOut
    /// The peer got the request and would not answer it.
    case refused

    public var description: String {
        switch self {
        case .notConnected: "the peer is not connected"
        case .overloaded: "too much waits for the peer already"
        case .tooLarge: "the request is too large"
        case .connectionLost: "the connection to the peer broke"
        case .timedOut: "the peer did not answer in time"
        case .refused: "the peer refused the request"
        }
    }
}

/// What `Forward.kind` says.
enum ForwardKind {
    static let request: UInt8 = 0
    static let answer: UInt8 = 1
    static let refusal: UInt8 = 2
}

extension ClientBootstrap {
    func peerOptions(_ limits: PeerLimits) -> ClientBootstrap {
        var bootstrap = self
        for (option, value) in peerSocketOptions(limits) { bootstrap = bootstrap.channelOption(option, value: value) }
        return bootstrap
    }
}

extension ServerBootstrap {
    func peerOptions(_ limits: PeerLimits) -> ServerBootstrap {
        var bootstrap = self
        for (option, value) in peerSocketOptions(limits) {
            bootstrap = bootstrap.childChannelOption(option, value: value)
        }
        return bootstrap
    }
}

/// Letters leave at once, and a peer whose host vanished is noticed whether or not there is something to send to it.
private func peerSocketOptions(
    _ limits: PeerLimits
) -> [(ChannelOptions.Types.SocketOption, ChannelOptions.Types.SocketOption.Value)] {
    let milliseconds = limits.userTimeout.nanoseconds / 1_000_000
    let seconds = Int(max(1, milliseconds / 2000))
    func tcp(_ option: CInt) -> ChannelOptions.Types.SocketOption {
        .init(level: .tcp, name: NIOBSDSocket.Option(rawValue: option))
    }
    return [
        (tcp(TCP_NODELAY), 1),
        (tcp(TCP_USER_TIMEOUT), Int(milliseconds)),
        (tcp(TCP_KEEPIDLE), seconds),
        (tcp(TCP_KEEPINTVL), seconds),
        (.init(level: .socket, name: .so_keepalive), 1),
    ]
}
