// SPDX-License-Identifier: Apache-2.0

public import KafkaWire
public import LogModel
public import NIOCore
public import Settings

/// What one partition of `__consumer_offsets` is for: the groups whose names belong to it, and their offsets.
///
/// A value: the log comes in through `replay`, requests through `handle`, time through `tick`; what is to be appended
/// and answered goes out as `GroupEffects`. State changes at once, and the caller holds every reply back until all
/// that was appended before is committed, so there is nothing here to roll back: when the partition's leader changes,
/// the coordinator is thrown away, and the new leader makes one of its own from the log.
public struct GroupCoordinator: Sendable {
    let settings: GroupSettings
    var topics: TopicsImage
    var random: GroupRandom
    var table = GroupTable()
    /// When each group has something to do, by place.
    var deadlines = Deadlines<Int>()
    /// When offsets are next looked through; `nil` until loaded.
    var nextExpiry: Moment?

    /// - Parameter seed: where member ids come from; coordinators that live at the same time get seeds of their own.
    public init(settings: GroupSettings, seed: UInt64, topics: TopicsImage) {
        self.settings = settings
        self.topics = topics
        random = GroupRandom(seed: seed)
    }

    // MARK: Loading

    /// Takes in one record of the partition's log. The whole log comes in order, before anything else.
    ///
    /// A record of an unknown kind or a newer version, or a malformed one, is passed over.
    public mutating func replay(key: ByteBuffer, value: ByteBuffer?, timestamp: Timestamp) {
        precondition(nextExpiry == nil, "the log is read before the first event")
        guard let record = CoordinatorRecord(key: key, value: value) else { return }
        switch record {
        case .offsetCommit(let group, let topic, let partition, let value):
            replayOffset(group, topic, partition, value)
        case .groupMetadata(let group, let value): replayClassic(group, value)
        default: replayConsumer(record)
        }
    }

    /// The log has been read: sessions of members begin anew.
    ///
    /// - Complexity: linear in groups and their members.
    public mutating func loaded(now: Moment, wallClock: Timestamp, into effects: inout GroupEffects) {
        precondition(nextExpiry == nil, "a coordinator loads once")
        let event = GroupEvent(now: now, wallClock: wallClock, settings: settings)
        for place in table.occupied {
            switch table.kind(at: place) {
            case .classic?: table.withClassic(at: place) { $0.resume(event, into: &effects) }
            case .consumer?: resumeConsumer(at: place, event, into: &effects)
            case nil: break
            }
            settle(place)
        }
        nextExpiry = now.advanced(byMilliseconds: settings.offsets.retentionCheckInterval)
    }

    private mutating func replayOffset(
        _ group: String, _ topic: String, _ partition: Int32, _ value: OffsetCommitValue?
    ) {
        if let value {
            let place = table.place(of: group) ?? table.insert(.classic(ClassicGroup(id: group)))
            table.offsets[place].set(topic, partition, to: CommittedOffset(value))
        } else if let place = table.place(of: group) {
            table.offsets[place].remove(topic, partition)
            dropIfNothing(place)
        }
    }

    private mutating func replayClassic(_ id: String, _ value: GroupMetadataValue?) {
        let place = table.place(of: id)
        if let value {
            let group = Group.classic(ClassicGroup(id: id, restoring: value))
            if let place { table.replace(at: place, with: group) } else { _ = table.insert(group) }
        } else if let place, case .classic? = table[place] {
            // Offsets have tombstones of their own.
            table.replace(at: place, with: .classic(ClassicGroup(id: id)))
            dropIfNothing(place)
        }
    }

    // MARK: Time

    /// When `tick` has something to do; it can be early.
    public var deadline: Moment? {
        guard let group = deadlines.next else { return nextExpiry }
        guard let nextExpiry else { return group }
        return min(group, nextExpiry)
    }

    /// Does what is due: sessions and rebalances that have timed out, offsets that have expired.
    public mutating func tick(now: Moment, wallClock: Timestamp, into effects: inout GroupEffects) {
        let event = GroupEvent(now: now, wallClock: wallClock, settings: settings)
        var due: [Int] = []
        while let place = deadlines.popDue(at: now) { due.append(place) }
        for place in due {
            switch table.kind(at: place) {
            case .classic?: table.withClassic(at: place) { $0.tick(event, into: &effects) }
            case .consumer?: tickConsumer(at: place, event, into: &effects)
            case nil: continue
            }
            settle(place)
        }
        if let nextExpiry, nextExpiry <= now { expireOffsets(event, into: &effects) }
    }

    /// Every event that may have changed a group ends here.
    mutating func settle(_ place: Int) {
        if table.kind(at: place) == nil || dropIfNothing(place) { return }
        guard let due = table.deadline(at: place) else { return deadlines.remove(place) }
        if deadlines[place] != due { deadlines.set(place, to: due) }
    }

    /// Forgets a group that has neither members nor offsets and that the log knows nothing of.
    @discardableResult
    mutating func dropIfNothing(_ place: Int) -> Bool {
        guard case .classic(let group)? = table[place], group.isEmpty, !group.isStored, group.pendingMembers.isEmpty,
            table.offsets[place].isEmpty
        else { return false }
        drop(place)
        return true
    }

    mutating func drop(_ place: Int) {
        deadlines.remove(place)
        table.remove(at: place)
    }

    // MARK: The cluster's topics

    /// The cluster's topics have changed. Offsets of topics that are gone, or were made anew, go with them.
    ///
    /// - Complexity: linear in groups where a topic is gone.
    public mutating func topicsChanged(
        _ image: TopicsImage, now: Moment, wallClock: Timestamp, into effects: inout GroupEffects
    ) {
        let gone = topics.topics.filter { image.topic(named: $0.name)?.id != $0.id }.map(\.name)
        let added = image.topics.map(\.name).filter { topics.topic(named: $0) == nil }
        topics = image
        if !gone.isEmpty {
            for place in table.occupied {
                for topic in gone { forget(topic, at: place, into: &effects) }
                settle(place)
            }
        }
        let event = GroupEvent(now: now, wallClock: wallClock, settings: settings)
        topicsChangedForConsumers(added: added, event, into: &effects)
    }

    // MARK: All groups

    /// Every group, in the order of names. Filters are the caller's.
    public func list() -> [ListGroupsResponse.Group] {
        table.occupied.compactMap { place in
            guard let group = table[place] else { return nil }
            var item = ListGroupsResponse.Group()
            item.groupID = group.id
            item.protocolType = group.protocolType
            item.groupState = group.stateName
            item.groupType = group.typeName
            return item
        }.sorted { $0.groupID < $1.groupID }
    }
}
