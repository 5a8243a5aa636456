// SPDX-License-Identifier: Apache-2.0
public import NIOCore
import Synchronization

/// Where a group begins in a partition that it has no offset for: `auto.offset.reset`.
public enum OffsetReset: Hashable, Sendable {
    /// At the first record that is still held.
    case earliest
    /// With what comes from now on.
    case latest

    var start: StartingPoint { self == .earliest ? .beginning : .end }
}

public struct GroupConsumerConfiguration: Sendable {
    /// How records are fetched.
    public var fetching = ConsumerConfiguration()
    public var offsetReset = OffsetReset.latest
    /// How often the offsets of what has been processed are committed; `nil` leaves committing to the caller.
    public var commitInterval: TimeAmount? = .seconds(5)
    /// How long the group waits for this member to give partitions back.
    public var rebalanceTimeout: TimeAmount = .seconds(300)
    /// The name of a static member: it keeps its partitions when it comes back before the session ends (KIP-345).
    public var instanceID: String?
    public var rackID: String?
    /// The coordinator's assignor; `nil` for its own choice.
    public var assignor: String?

    public init() {}
}

/// What a member of a group meets.
public enum GroupEvent: Sendable {
    /// These partitions are read from now on.
    case assigned([TopicPartition])
    case records(FetchedChunk)
    /// The reader stands at the end of what consumers may see. Said again after each run of new records.
    case end(TopicPartition, offset: Int64)
    /// These partitions go to another member with the next call of `next()`; until then offsets may be committed.
    case revoked([TopicPartition])
    /// These partitions went to another member while this one was not heard. Nothing can be committed any more.
    case lost([TopicPartition])

    /// The partition whose reading the event is a part of.
    var place: TopicPartition? {
        switch self {
        case .records(let chunk): chunk.place
        case .end(let place, _): place
        case .assigned, .revoked, .lost: nil
        }
    }
}

/// Reads topics together with the other members of a group, by the protocol of KIP-848: the coordinator says who reads
/// what, and a partition has a new owner only after the old one has let it go.
///
///     let consumer = GroupConsumer(client, group: "billing", topics: ["orders"])
///     while let event = try await consumer.next() {
///         if case .records(let chunk) = event { … }
///     }
///     await consumer.close()
///
/// What `next()` gave counts as processed when it is called again, and is committed some time after. So every record is
/// processed at least once, and again when a member dies before its offset was committed.
// SAFETY: `membership` is touched on the client's loop alone; everything else is immutable or synchronized.
public final class GroupConsumer: @unchecked Sendable {
    private let client: KafkaClient
    private let queue = EventQueue<GroupEvent>()
    private let progress = GroupProgress()
    private var membership: GroupMembership?

    /// Joins the group in the background; the first events are the assigned partitions.
    public init(
        _ client: KafkaClient, group: String, topics: [String],
        _ configuration: GroupConsumerConfiguration = GroupConsumerConfiguration()
    ) {
        self.client = client
        client.core.loop.execute { [self] in
            let member = GroupMembership(
                client.core, group: group, topics: topics, configuration, queue: queue, progress: progress)
            membership = member
            member.start()
        }
    }

    /// The next event; `nil` after `close()`. For one caller at a time. Says that the event before has been processed.
    ///
    /// - Throws: what ends the membership: an error that trying again does not help against.
    public func next() async throws(ClientError) -> GroupEvent? {
        if let done = progress.takeGiven() {
            client.core.loop.execute { self.membership?.processed(done) }
        }
        guard let event = try await queue.next() else { return nil }
        progress.give(event)
        return event
    }

    /// Commits the offsets of all that `next()` has given so far.
    public func commit() async throws(ClientError) { try await commit(progress.given()) }

    /// Commits these offsets, each the next one to read: what lies before them counts as processed. Partitions that are
    /// not this member's are left out.
    public func commit(_ offsets: [TopicPartition: Int64]) async throws(ClientError) {
        progress.claim(offsets)
        let result: Result<Void, ClientError> = await client.onLoop { [self] _, done in
            guard let membership else { return done(.failure(.closed)) }
            membership.commit(offsets, then: done)
        }
        try result.get()
    }

    /// Commits what has been processed, leaves the group and stops reading. `next()` gives `nil` from then on.
    ///
    /// What `next()` gave last counts as processed only if `commit` was called for it.
    public func close() async {
        queue.close()
        let _: Result<Void, ClientError> = await client.onLoop { [self] _, done in
            guard let membership else { return done(.success(())) }
            membership.leave { done(.success(())) }
        }
    }
}

/// How far the reader of a `GroupConsumer` has come: seen from its task and from the client's loop.
final class GroupProgress: Sendable {
    private struct State: Sendable {
        /// What `next()` gave and was not called again for.
        var last: GroupEvent?
        var given: [TopicPartition: Int64] = [:]
        var processed: [TopicPartition: Int64] = [:]
    }

    private let state = Mutex(State())

    func give(_ event: GroupEvent) {
        state.withLock { state in
            state.last = event
            if case .records(let chunk) = event { state.given[chunk.place] = chunk.end }
        }
    }

    func takeGiven() -> GroupEvent? {
        state.withLock { state in
            guard let last = state.last else { return nil }
            state.last = nil
            if case .records(let chunk) = last, let end = state.given[chunk.place] {
                state.processed[chunk.place] = end
            }
            return last
        }
    }

    /// The reader itself says how far it has come.
    func claim(_ offsets: [TopicPartition: Int64]) {
        state.withLock { state in
            for (place, offset) in offsets where state.given[place] != nil { state.processed[place] = offset }
        }
    }

    func given() -> [TopicPartition: Int64] { state.withLock { $0.given } }
    func processed() -> [TopicPartition: Int64] { state.withLock { $0.processed } }

    func forget(_ places: some Sequence<TopicPartition>) {
        state.withLock { state in
            for place in places {
                state.given[place] = nil
                state.processed[place] = nil
            }
        }
    }
}
