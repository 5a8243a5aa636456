// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// L10 of reliability.md, and what else a group's members rely on, for all groups of a cluster.
///
/// Everything is seen at the coordinators: when a request arrived there, and when its reply was let go, whether or not
/// it reached anybody. A reply that was let go is a promise.
public struct GroupChecks: Sendable {
    /// One partition of the topic that groups read, in one group.
    public struct Place: Hashable, Comparable, Sendable {
        public var group: String
        public var partition: Int32

        public init(group: String, partition: Int32) {
            self.group = group
            self.partition = partition
        }

        public static func < (left: Self, right: Self) -> Bool {
            (left.group, left.partition) < (right.group, right.partition)
        }
    }

    /// A member in one generation of a classic group, or in one epoch of a consumer group.
    public struct Membership: Hashable, Sendable {
        public var group: String
        public var member: String
        public var epoch: Int32

        public init(group: String, member: String, epoch: Int32) {
            self.group = group
            self.member = member
            self.epoch = epoch
        }
    }

    private struct Seen {
        var epoch: Int32
        var at: UInt64
    }

    private var registers: [Place: OffsetRegister] = [:]
    private var placeOfWrite: [Int: Place] = [:]
    /// The generations that classic groups were told to be in, each when it was first told.
    private var generations: [String: [Seen]] = [:]
    /// The epochs that members of consumer groups were told.
    private var epochs: [String: [String: [Seen]]] = [:]
    /// Since when a coordinator does not know a membership any more, by the coordinator's term.
    private var fenced: [Membership: [Term: UInt64]] = [:]
    /// Who was given what, by generation.
    private var owners: [String: [Int32: [Int32: String]]] = [:]
    /// Which members were told that a partition is theirs, and have not let go of it as far as is known.
    var claims: [Place: Set<String>] = [:]
    /// Who has said last that it leaves.
    var leaving: [String: Set<String>] = [:]
    /// Since when a member of a group is to let go of something that it has not let go of.
    var pressed: [String: [String: UInt64]] = [:]
    /// What each member was told last to be its own.
    var assigned: [String: [String: [Int32]]] = [:]
    var lastHeard: [String: [String: UInt64]] = [:]
    /// Where the part that a group has read without a hole ends.
    public private(set) var covered: [Place: Int64] = [:]

    public init() {}

    // MARK: - Offsets

    private func register(_ place: Place) -> OffsetRegister {
        registers[place] ?? OffsetRegister(name: "\(place.group) in partition \(place.partition)")
    }

    /// A commit reached a coordinator.
    /// - Parameters:
    ///   - number: what the commit is known by; no two are alike, and 0 is none.
    ///   - offset: `nil` when the offset is to be removed.
    ///   - isExplicit: an administrator's, who may take an offset back.
    public mutating func arrived(_ number: Int, at place: Place, offset: Int64?, isExplicit: Bool, time: UInt64) {
        var register = register(place)
        registers[place] = nil
        register.arrived(number, offset: offset, isExplicit: isExplicit, at: time)
        registers[place] = register
        placeOfWrite[number] = place
        if isExplicit, let offset { covered[place] = max(covered[place] ?? 0, offset) }
    }

    /// The coordinator has not carried it out, and never will.
    public mutating func refused(_ number: Int) {
        guard let place = placeOfWrite[number] else { return }
        registers[place]?.refused(number)
    }

    public mutating func acknowledged(_ number: Int, term: Term, time: UInt64) throws(Violation) {
        guard let place = placeOfWrite[number] else {
            throw Violation(.groupOffsets, "commit \(number) was acknowledged and never sent")
        }
        var register = register(place)
        registers[place] = nil
        defer { registers[place] = register }
        try register.acknowledged(number, term: term, at: time)
    }

    /// An OffsetFetch was answered.
    /// - Parameters:
    ///   - number: of the commit that was told; `nil` when there is no offset.
    ///   - arrived: when the request reached the coordinator.
    public mutating func told(
        _ number: Int?, offset: Int64, at place: Place, arrived: UInt64, term: Term, time: UInt64
    ) throws(Violation) {
        var register = register(place)
        registers[place] = nil
        defer { registers[place] = register }
        try register.told(number, offset: offset, arrived: arrived, term: term, at: time)
    }

    // MARK: - Fencing

    /// A commit of a member, which arrived at `arrived`, was acknowledged.
    public mutating func accepted(_ membership: Membership, arrived: UInt64, term: Term) throws(Violation) {
        let group = membership.group
        let later = generations[group]?.first { $0.epoch > membership.epoch && $0.at < arrived }
        if let later {
            throw Violation(
                .groupFencing,
                "\(membership.member) of \(group) committed in generation \(membership.epoch) after \(later.epoch)")
        }
        let ahead = epochs[group]?[membership.member]?.first { $0.epoch > membership.epoch && $0.at < arrived }
        if let ahead {
            throw Violation(
                .groupFencing,
                "\(membership.member) of \(group) committed in epoch \(membership.epoch) after \(ahead.epoch)")
        }
        if let since = fenced[membership]?[term], since < arrived {
            throw Violation(
                .groupFencing,
                "\(membership.member) of \(group) committed in \(membership.epoch), in which it was fenced")
        }
    }

    /// A coordinator has said that it does not know this membership, or has agreed to its end.
    public mutating func fenced(_ membership: Membership, term: Term, time: UInt64) {
        if fenced[membership]?[term] == nil { fenced[membership, default: [:]][term] = time }
    }

    /// A coordinator has let the member in, in that generation or epoch.
    ///
    /// A generation whose assignment was never stored is lost with its coordinator, and the next one may count to it
    /// again.
    public mutating func joined(_ membership: Membership) { fenced[membership] = nil }

    // MARK: - Who owns what

    /// A member of a classic group was given its part of a generation.
    /// - Parameter owner: the instance of a static member, the id of any other.
    public mutating func assigned(
        _ partitions: [Int32], to owner: String, in generation: Int32, of group: String, time: UInt64
    ) throws(Violation) {
        if generations[group]?.contains(where: { $0.epoch == generation }) != true {
            generations[group, default: []].append(Seen(epoch: generation, at: time))
        }
        for partition in partitions {
            if let other = owners[group]?[generation]?[partition], other != owner {
                throw Violation(
                    .soleOwner, "\(owner) and \(other) both own \(partition) in generation \(generation) of \(group)")
            }
            owners[group, default: [:]][generation, default: [:]][partition] = owner
        }
    }

    /// A member of a consumer group was told an epoch.
    public mutating func told(epoch: Int32, to member: String, of group: String, time: UInt64) {
        guard epochs[group]?[member]?.last.map({ $0.epoch < epoch }) ?? true else { return }
        epochs[group, default: [:]][member, default: []].append(Seen(epoch: epoch, at: time))
    }

    /// Somebody asks to delete the group: what it becomes later has nothing to do with what it was. Or it does, when it
    /// is refused: then who was told less is to let go all the same.
    public mutating func forget(_ group: String) {
        generations[group] = nil
        epochs[group] = nil
        owners[group] = nil
        lastHeard[group] = nil
        for membership in fenced.keys where membership.group == group { fenced[membership] = nil }
        for place in claims.keys where place.group == group { claims[place] = nil }
    }

    // MARK: - Reading

    /// A member has read from `start` to `end`: behind what its group has read before, or on from there.
    public mutating func read(from start: Int64, to end: Int64, at place: Place) throws(Violation) {
        let known = covered[place] ?? 0
        guard start <= known else {
            throw Violation(
                .groupOffsets,
                "\(place.group) reads partition \(place.partition) from \(start), has read up to \(known)")
        }
        covered[place] = max(known, end)
    }

    /// What lies before `start` is gone from the log: nobody can be blamed for not having read it.
    public mutating func lost(before start: Int64, at place: Place) {
        covered[place] = max(covered[place] ?? 0, start)
    }
}
