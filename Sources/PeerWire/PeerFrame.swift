// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore
public import RaftCore

// Frames between nodes. Integers are big-endian; `varint` is unsigned LEB128 in its shortest form, at most 10 bytes.
//
//     frame    length u32 (of what follows) · kind u8 · body
//     1 hello        version u16 · cluster u128 (0 = not known) · node u32 · directory u64 u64 · shard u32
//                    · flags u8 (1 heartbeat lane, 2 fresh)
//     2 hello reply  as hello · refusal u8 (0 = admitted, 128 = as a guest)
//     3 letters      letter…                      to the end of the frame
//     4 leaders      (group · term varint · node varint · number of lagging nodes varint · node varint…)…
//     5 forward      id u64 · kind u8 · bytes     to the end of the frame
//     6 reply        id u64 · kind u8 · bytes
//
//     letter   group (topic u64 u64 · index u32)
//              · message u8 (| 0x80: payload size varint and payload follow; | 0x40: the message's last flag is set)
//              · the message's fields as varints, in the order in which `RaftCore` declares them
//     members  voters · outgoing · learners, each a count and ascending nodes

//     Repair letters have a term like all others, 0, and then number · from · to, or number · outcome.

/// The version of the letters described above. Nodes of other versions are refused.
public let peerProtocolVersion: UInt16 = 2

/// Which of two connections to a peer's shard this is: bulk must not delay heartbeats.
public enum PeerLane: Hashable, Sendable { case bulk, heartbeat }

/// The first frame on a connection, from the side that opened it; the other side answers with its own.
public struct Hello: Hashable, Sendable {
    public var version: UInt16
    /// The cluster the sender belongs to; `nil` while it knows none.
    public var cluster: TopicID?
    public var node: NodeID
    /// Made once for each data directory, so that a wiped node is known for what it is (KIP-853).
    public var directory: TopicID
    public var shard: UInt32
    public var lane: PeerLane
    /// The sender's data directory was made at this start: it may have forgotten votes and entries.
    public var fresh: Bool

    public init(
        version: UInt16 = peerProtocolVersion, cluster: TopicID?, node: NodeID, directory: TopicID, shard: UInt32,
        lane: PeerLane, fresh: Bool
    ) {
        self.version = version
        self.cluster = cluster == .zero ? nil : cluster
        self.node = node
        self.directory = directory
        self.shard = shard
        self.lane = lane
        self.fresh = fresh
    }
}

/// The accepting side's answer to a `Hello`.
public struct HelloReply: Hashable, Sendable {
    /// Why a peer may not send letters. The connection is closed behind such an answer.
    public enum Refusal: UInt8, Error, Hashable, Sendable, CaseIterable, CustomStringConvertible {
        case otherVersion = 1
        case otherCluster = 2
        /// The peer calls itself what the accepting node is called.
        case sameNode = 3
        case unknownNode = 4
        /// The node was known with another data directory.
        case otherDirectory = 5
        case stopping = 6
        /// The node was taken out of the cluster, with the data directory that it has.
        case removed = 7

        public var description: String {
            switch self {
            case .otherVersion: "it speaks another version of the protocol"
            case .otherCluster: "it belongs to another cluster"
            case .sameNode: "it has the same node id"
            case .unknownNode: "it does not know this node"
            case .otherDirectory: "it knows this node with another data directory"
            case .stopping: "it is stopping"
            case .removed: "this node was removed from the cluster"
            }
        }
    }

    /// What the accepting side says of itself; shard, lane and version are those it was asked for.
    public var hello: Hello
    /// `nil` admits.
    public var refusal: Refusal?
    /// Admits one that the cluster does not know yet: it may ask to be taken in, and nothing else.
    public var isGuest: Bool

    /// The byte that admits a guest, where others say why they refuse.
    static let guestCode: UInt8 = 0x80

    public init(_ hello: Hello, refusal: Refusal? = nil, isGuest: Bool = false) {
        precondition(refusal == nil || !isGuest, "who is refused is no guest")
        self.hello = hello
        self.refusal = refusal
        self.isGuest = isGuest
    }
}

/// A message of one group, and the entries or the snapshot that belong to it.
public struct PeerLetter: Hashable, Sendable {
    public var group: PartitionID
    public var message: Message
    /// Empty where the message needs none. A slice of the frame, not a copy.
    public var payload: ByteBuffer

    public init(group: PartitionID, message: Message, payload: ByteBuffer = ByteBuffer()) {
        self.group = group
        self.message = message
        self.payload = payload
    }
}

/// "`leader` leads `group` in `term`." The highest term wins.
public struct LeaderAnnouncement: Hashable, Sendable {
    public var group: PartitionID
    public var term: Term
    public var leader: NodeID
    /// Replicas that have not kept up with the leader, ascending.
    public var lagging: [NodeID]

    public init(group: PartitionID, term: Term, leader: NodeID, lagging: [NodeID] = []) {
        self.group = group
        self.term = term
        self.leader = leader
        self.lagging = lagging
    }
}

/// A command, or the answer to one, on its way between a node and the metadata leader.
public struct Forward: Hashable, Sendable {
    /// The asking node's own number for it; comes back in the answer.
    public var id: UInt64
    /// What the bytes are; means nothing to this layer.
    public var kind: UInt8
    /// A slice of the frame, not a copy.
    public var bytes: ByteBuffer

    public init(id: UInt64, kind: UInt8, bytes: ByteBuffer) {
        self.id = id
        self.kind = kind
        self.bytes = bytes
    }
}

public enum PeerFrame: Hashable, Sendable {
    case hello(Hello)
    case helloReply(HelloReply)
    case letters([PeerLetter])
    case leaders([LeaderAnnouncement])
    case forward(Forward)
    case forwardReply(Forward)
}

/// Why a frame was refused. The connection it came on is of no further use.
public enum PeerWireError: Error, Hashable, Sendable, CustomStringConvertible {
    case frameTooLarge(size: Int, limit: Int)
    case emptyFrame
    case truncated
    case trailingBytes
    case unknownKind(UInt8)
    case unknownMessage(UInt8)
    case unsupportedVersion(UInt16)
    case badVarint
    case outOfRange(field: String)

    public var description: String {
        switch self {
        case .frameTooLarge(let size, let limit): "a frame of \(size) bytes, where at most \(limit) are allowed"
        case .emptyFrame: "a frame without a kind"
        case .truncated: "a frame that ends inside a field"
        case .trailingBytes: "a frame with bytes behind its last field"
        case .unknownKind(let kind): "a frame of the unknown kind \(kind)"
        case .unknownMessage(let kind): "a letter with the unknown message \(kind)"
        case .unsupportedVersion(let version): "the peer speaks version \(version), this node \(peerProtocolVersion)"
        case .badVarint: "a varint that is too long or not in its shortest form"
        case .outOfRange(let field): "\(field) is out of range"
        }
    }
}

enum FrameKind {
    static let hello: UInt8 = 1
    static let helloReply: UInt8 = 2
    static let letters: UInt8 = 3
    static let leaders: UInt8 = 4
    static let forward: UInt8 = 5
    static let forwardReply: UInt8 = 6
}

enum MessageKind {
    static let preVote: UInt8 = 1
    static let preVoteReply: UInt8 = 2
    static let vote: UInt8 = 3
    static let voteReply: UInt8 = 4
    static let append: UInt8 = 5
    static let matched: UInt8 = 6
    static let rejected: UInt8 = 7
    static let heartbeat: UInt8 = 8
    static let heartbeatReply: UInt8 = 9
    static let snapshot: UInt8 = 10
    static let timeoutNow: UInt8 = 11
    static let repairRequest: UInt8 = 32
    static let repairAnswer: UInt8 = 33
    static let hasPayload: UInt8 = 0x80
    /// `isRebuilding` of an answer, `isComplete` of a heartbeat.
    static let isFlagged: UInt8 = 0x40
    static let flagged: Set<UInt8> = [matched, rejected, heartbeat, heartbeatReply]
    /// The most nodes in each of a group's lists.
    static let maximumMembers = 1024
}
