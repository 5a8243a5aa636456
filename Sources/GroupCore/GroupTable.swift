// SPDX-License-Identifier: Apache-2.0

import LogModel

/// The groups of a coordinator and their offsets, each at a place of its own.
///
/// A place is found by name once an event; the rest goes by place. Walks go from place to place, so that they do not
/// depend on how a dictionary happens to be laid out.
struct GroupTable: Sendable {
    private var places: [String: Int] = [:]
    /// `nil` where there is none, and while one is lent out.
    private var groups: [Group?] = []
    private var free: [Int] = []
    /// By place.
    var offsets: [GroupOffsets] = []

    init() {}

    var count: Int { places.count }

    func place(of id: String) -> Int? { places[id] }

    /// Every place with a group.
    var occupied: [Int] { groups.indices.filter { groups[$0] != nil } }

    subscript(place: Int) -> Group? { groups[place] }

    /// Which protocol the group at a place speaks. Who only needs this and then changes the group must not hold a
    /// copy of it in between.
    func kind(at place: Int) -> Group.Kind? { groups[place]?.kind }

    func deadline(at place: Int) -> Moment? { groups[place]?.deadline }

    /// - Precondition: no group of that name is there.
    mutating func insert(_ group: Group) -> Int {
        let place = free.popLast() ?? groups.count
        let former = places.updateValue(place, forKey: group.id)
        precondition(former == nil, "a group is at one place")
        if place == groups.count {
            groups.append(group)
            offsets.append(GroupOffsets())
        } else {
            groups[place] = group
        }
        return place
    }

    /// Puts another group of the same name in a group's place; its offsets stay.
    mutating func replace(at place: Int, with group: Group) {
        precondition(groups[place]?.id == group.id, "a group keeps its name")
        groups[place] = group
    }

    mutating func remove(at place: Int) {
        guard let group = groups[place] else { return }
        places[group.id] = nil
        groups[place] = nil
        offsets[place] = GroupOffsets()
        free.append(place)
    }

    /// Lends a classic group out to be changed where it is: copying it would copy its members.
    ///
    /// - Precondition: there is one at `place`.
    mutating func withClassic<Result>(at place: Int, _ body: (inout ClassicGroup) -> Result) -> Result {
        guard case .classic(var group)? = groups[place] else {
            preconditionFailure("there is no classic group at this place")
        }
        groups[place] = nil
        defer { groups[place] = .classic(group) }
        return body(&group)
    }

    /// Lends a consumer group out to be changed where it is.
    ///
    /// - Precondition: there is one at `place`.
    mutating func withConsumer<Result>(at place: Int, _ body: (inout ConsumerGroup) -> Result) -> Result {
        guard case .consumer(var group)? = groups[place] else {
            preconditionFailure("there is no consumer group at this place")
        }
        groups[place] = nil
        defer { groups[place] = .consumer(group) }
        return body(&group)
    }
}
