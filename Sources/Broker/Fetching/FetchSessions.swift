// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel

/// The fetch sessions of one event loop, bounded in number and memory.
///
/// Who takes whose place when it is full is as with Kafka's cache: a new session may take that of one unused for two
/// minutes, or of a smaller one that is older than that. Otherwise there is no session, and the client sends whole
/// requests, as KIP-227 provides.
struct FetchSessions {
    /// How many sessions there may be.
    let slots: Int
    /// How much memory all sessions may take, in bytes.
    let memory: Int
    private var sessions: [Int32: FetchSession] = [:]
    private var cost = 0
    private let drawID: () -> Int32

    /// After how long a session may be put out, in nanoseconds.
    static let patience: UInt64 = 120_000_000_000

    init(slots: Int, memory: Int, drawID: @escaping () -> Int32 = { .random(in: 1 ... .max) }) {
        self.slots = slots
        self.memory = memory
        self.drawID = drawID
    }

    /// The share of one of `loops` event loops in what the node may keep.
    init(_ settings: BrokerSettings, sharedBy loops: Int) {
        let slots = settings.fetchSessionSlots
        self.init(slots: slots == 0 ? 0 : max(1, slots / loops), memory: Self.nodeMemory / loops)
    }

    /// How much memory the sessions of a node may take, in bytes: those of some 300,000 partitions.
    private static let nodeMemory = 64 << 20

    var count: Int { sessions.count }

    /// What kind of request a fetch is.
    enum Context {
        /// Stands alone and leaves nothing behind.
        case sessionless
        /// Names everything; becomes a session when it is answered.
        case full
        /// Names what has changed; `epoch` is what the session must still stand at when it is answered.
        case incremental(FetchSession, epoch: Int32)
    }

    struct Opening {
        let context: Context
        let wishes: [FetchWish]
    }

    /// Sorts a request into its session, and says everything that is to be read for it.
    mutating func open(_ request: FetchRequest, version: Int16, now: Moment) -> Result<Opening, FetchSessionError> {
        let wishes = request.wishes(version: version)
        guard version >= 7 else { return .success(Opening(context: .sessionless, wishes: wishes)) }
        guard request.sessionEpoch != 0, request.sessionEpoch != -1 else {
            // A whole request ends the session that it names, whatever that one's epoch.
            if request.sessionID != 0 { close(request.sessionID) }
            let context = request.sessionEpoch == 0 ? Context.full : .sessionless
            return .success(Opening(context: context, wishes: wishes))
        }
        guard let session = sessions[request.sessionID] else { return .failure(.notFound) }
        guard session.usesTopicIDs == (version >= 13) else { return .failure(.topicIDs) }
        guard session.epoch == request.sessionEpoch else { return .failure(.epoch) }
        cost -= session.cost
        session.update(wishes, forgetting: request.forgotten(version: version))
        cost += session.cost
        if session.count == 0 {
            close(session.id)
            return .success(Opening(context: .sessionless, wishes: wishes))
        }
        guard makeRoom(for: 0, keeping: session.id, now: now) else {
            close(session.id)
            return .failure(.notFound)
        }
        session.lastUsed = now
        session.advance()
        return .success(Opening(context: .incremental(session, epoch: session.epoch), wishes: session.wishes))
    }

    /// Makes the session that a whole request asks for; `nil` when there is no room for it.
    mutating func create(_ wishes: [FetchWish], usesTopicIDs: Bool, now: Moment) -> FetchSession? {
        guard slots > 0, !wishes.isEmpty else { return nil }
        let needed = FetchSession.cost(of: wishes)
        guard needed <= memory else { return nil }
        guard sessions.count < slots || evict(for: wishes.count, now: now) else { return nil }
        guard makeRoom(for: needed, keeping: nil, now: now) else { return nil }
        let session = FetchSession(id: newID(), usesTopicIDs: usesTopicIDs, wishes: wishes, now: now)
        sessions[session.id] = session
        cost += session.cost
        return session
    }

    private mutating func close(_ id: Int32) {
        guard let session = sessions.removeValue(forKey: id) else { return }
        cost -= session.cost
    }

    private func newID() -> Int32 {
        while true {
            let id = drawID()
            if id > 0, sessions[id] == nil { return id }
        }
    }

    /// Puts out unused sessions until `needed` more bytes fit in.
    private mutating func makeRoom(for needed: Int, keeping kept: Int32?, now: Moment) -> Bool {
        while cost + needed > memory {
            guard let oldest = leastRecentlyUsed, oldest.id != kept, isOld(oldest.lastUsed, now) else { return false }
            close(oldest.id)
        }
        return true
    }

    /// Puts out one session in favour of one with `count` partitions, if the rules allow it.
    private mutating func evict(for count: Int, now: Moment) -> Bool {
        if let oldest = leastRecentlyUsed, isOld(oldest.lastUsed, now) {
            close(oldest.id)
            return true
        }
        let small = sessions.values.filter { isOld($0.created, now) }
            .min { ($0.count, $0.id) < ($1.count, $1.id) }
        guard let small, small.count < count else { return false }
        close(small.id)
        return true
    }

    private var leastRecentlyUsed: FetchSession? {
        sessions.values.min { ($0.lastUsed, $0.id) < ($1.lastUsed, $1.id) }
    }

    private func isOld(_ moment: Moment, _ now: Moment) -> Bool {
        now.nanoseconds(since: moment) > Self.patience
    }
}

/// Why a request has no session to be served in; the client then sends a whole one.
enum FetchSessionError: Error, Hashable {
    /// It was put out, or belongs to another loop or node.
    case notFound
    /// A request came twice, or was overtaken.
    case epoch
    /// Topics are named in the other way than when the session was opened.
    case topicIDs
}

extension ErrorCode {
    init(_ error: FetchSessionError) {
        self =
            switch error {
            case .notFound: .fetchSessionIDNotFound
            case .epoch: .invalidFetchSessionEpoch
            case .topicIDs: .fetchSessionTopicIDError
            }
    }
}
