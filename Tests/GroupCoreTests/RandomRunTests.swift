// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings
import Testing

@testable import GroupCore

/// One group, many clients that come, go and crash, coordinators that fail over: by seed, against what must hold.
@Suite struct RandomRunTests {
    @Test(arguments: 0..<40 as Range<UInt64>)
    func whateverHappensTheGroupKeepsItsPromises(seed: UInt64) {
        var run = GroupRun(seed: seed, clients: 8)
        for _ in 0..<1_500 { run.step() }
        run.settle()
    }

    @Test func manyMembersSettle() {
        var run = GroupRun(seed: 77, clients: 120)
        for _ in 0..<2_000 { run.step() }
        run.settle()
    }
}

/// A client of the group as it sees itself.
private struct Client {
    enum Phase {
        case outside
        case joining(call: UInt64)
        case syncing(call: UInt64)
        case working
    }

    let number: Int
    let instance: String?
    let version: Int16
    var phase = Phase.outside
    var member = ""
    var generation: Int32 = -1
    var owned: [Int32] = []
    var metadata = ""

    /// Who owns what it owns: a static member's new process is the same owner.
    var owner: String { instance ?? member }
}

private struct GroupRun {
    private static let partitions: Int32 = 16
    private var random: GroupRandom
    private var coordinator: TestCoordinator
    private var clients: [Client]
    /// What each accepted commit left.
    private var committed: [Int32: Int64] = [:]
    /// Who was assigned each partition, by generation.
    private var owners: [Int32: [Int32: String]] = [:]
    private var newestAssigned: Int32 = 0
    private var steps = 0
    private let seed: UInt64

    init(seed: UInt64, clients count: Int) {
        self.seed = seed
        random = GroupRandom(seed: seed)
        var settings = GroupSettings()
        settings.initialRebalanceDelay = 500
        coordinator = TestCoordinator(settings: settings)
        clients = (0..<count).map { number in
            Client(
                number: number, instance: number % 4 == 1 ? "static-\(number)" : nil,
                version: number % 4 == 2 ? 3 : 9)
        }
    }

    private func chance(_ percent: Int, _ random: inout GroupRandom) -> Bool {
        Int.random(in: 0..<100, using: &random) < percent
    }

    mutating func step() {
        steps += 1
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<6: coordinator.advance(milliseconds: Int64.random(in: 0..<1_000, using: &random))
        case 6: coordinator.advance(milliseconds: Int64.random(in: 0..<12_000, using: &random))
        case 7 where chance(30, &random): failOver()
        default:
            let number = clients.indices.randomElement(using: &random) ?? 0
            act(number, isCalm: false)
        }
        check()
    }

    /// Lets everybody behave until all is quiet; then the work must be shared out.
    mutating func settle() {
        for _ in 0..<60 {
            for number in clients.indices { act(number, isCalm: true) }
            coordinator.advance(milliseconds: 1_000)
        }
        for number in clients.indices { act(number, isCalm: true) }
        check()
        #expect(coordinator.state() == "Stable", "seed \(seed)")
        let working = clients.filter { if case .working = $0.phase { true } else { false } }
        #expect(working.count == clients.count, "seed \(seed)")
        #expect(Set(working.map(\.generation)).count == 1, "seed \(seed)")
        #expect(working.flatMap(\.owned).sorted() == Array(0..<Self.partitions), "seed \(seed)")
    }

    // MARK: Clients

    private mutating func act(_ number: Int, isCalm: Bool) {
        switch clients[number].phase {
        case .outside: join(number)
        case .joining(let call): joined(number, call, isCalm)
        case .syncing(let call): synced(number, call, isCalm)
        case .working: work(number, isCalm)
        }
        if !isCalm && chance(2, &random) { crash(number) }
    }

    private mutating func join(_ number: Int) {
        let client = clients[number]
        let call = coordinator.join(
            member: client.member, instance: client.instance, protocols: [("range", client.metadata)], session: 6_000,
            rebalance: 8_000, version: client.version)
        clients[number].phase = .joining(call: call)
    }

    private mutating func joined(_ number: Int, _ call: UInt64, _ isCalm: Bool) {
        guard let reply = coordinator.joined(call) else {
            if !isCalm && chance(3, &random) { join(number) }
            return
        }
        switch reply.error {
        case .none:
            #expect(reply.generationID > 0 && !reply.leader.isEmpty)
            clients[number].member = reply.memberID
            clients[number].generation = reply.generationID
            clients[number].owned = []
            if !isCalm && chance(5, &random) { return }
            let client = clients[number]
            let assignments = reply.leader == client.member && !reply.skipsAssignment ? share(reply.members) : [:]
            let sync = coordinator.sync(
                member: client.member, generation: client.generation, instance: client.instance,
                assignments: assignments)
            clients[number].phase = .syncing(call: sync)
        case .memberIDRequired:
            clients[number].member = reply.memberID
            clients[number].phase = .outside
        case .rebalanceInProgress: clients[number].phase = .outside
        case .unknownMemberID, .fencedInstanceID:
            clients[number].member = ""
            clients[number].phase = .outside
        default: Issue.record("seed \(seed): a join is answered \(reply.error)")
        }
    }

    /// Deals the partitions out one by one.
    private func share(_ members: [JoinGroupResponse.Member]) -> [String: String] {
        var shares: [String: [String]] = [:]
        for partition in 0..<Self.partitions where !members.isEmpty {
            shares[members[Int(partition) % members.count].memberID, default: []].append("\(partition)")
        }
        return shares.mapValues { $0.joined(separator: ",") }
    }

    private mutating func synced(_ number: Int, _ call: UInt64, _ isCalm: Bool) {
        guard let reply = coordinator.synced(call) else { return beat(number) }
        switch reply.error {
        case .none:
            let owned = String(buffer: reply.assignment).split(separator: ",").compactMap { Int32($0) }
            take(owned, by: clients[number])
            clients[number].owned = owned
            clients[number].phase = .working
        case .unknownMemberID, .fencedInstanceID:
            clients[number].member = ""
            clients[number].phase = .outside
        case .rebalanceInProgress, .illegalGeneration: clients[number].phase = .outside
        default: Issue.record("seed \(seed): a sync is answered \(reply.error)")
        }
    }

    /// Nobody owns a partition that somebody else was given in the same generation.
    private mutating func take(_ owned: [Int32], by client: Client) {
        newestAssigned = max(newestAssigned, client.generation)
        for partition in owned {
            let former = owners[client.generation, default: [:]].updateValue(client.owner, forKey: partition)
            #expect(former == nil || former == client.owner, "seed \(seed): partition \(partition) has two owners")
        }
    }

    private mutating func work(_ number: Int, _ isCalm: Bool) {
        if isCalm { return beat(number) }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<50: commit(number)
        case 50..<55:
            clients[number].metadata = "\(Int.random(in: 0..<3, using: &random))"
            clients[number].phase = .outside
        case 55..<58:
            let client = clients[number]
            let answers = coordinator.leave([(client.member, client.instance)]).members
            #expect([.none, .unknownMemberID, .fencedInstanceID].contains(answers[0].error))
            clients[number].member = ""
            clients[number].phase = .outside
        default: beat(number)
        }
    }

    private mutating func beat(_ number: Int) {
        let client = clients[number]
        let error = coordinator.heartbeat(
            member: client.member, generation: client.generation, instance: client.instance)
        heed(error, number)
    }

    private mutating func commit(_ number: Int) {
        let client = clients[number]
        let partition = client.owned.randomElement(using: &random) ?? Int32.random(in: 0..<16, using: &random)
        let offset = Int64.random(in: 0..<1_000_000, using: &random)
        let error =
            coordinator.commit(
                [partition: offset], member: client.member, generation: client.generation, instance: client.instance
            ).first ?? .unknownServerError
        if error == .none { committed[partition] = offset }
        heed(error, number)
    }

    private mutating func heed(_ error: ErrorCode, _ number: Int) {
        switch error {
        case .none:
            #expect(clients[number].generation >= newestAssigned, "seed \(seed): an old generation is still served")
        case .rebalanceInProgress, .illegalGeneration:
            if case .working = clients[number].phase { clients[number].phase = .outside }
        case .unknownMemberID, .fencedInstanceID:
            clients[number].member = ""
            clients[number].phase = .outside
        default: Issue.record("seed \(seed): a member is answered \(error)")
        }
    }

    /// The process is gone, and another takes its place.
    private mutating func crash(_ number: Int) {
        clients[number].member = ""
        clients[number].owned = []
        clients[number].generation = -1
        clients[number].phase = .outside
    }

    // MARK: Coordinators

    /// Another node leads: what clients waited for is never answered, and they ask again.
    private mutating func failOver() {
        coordinator = coordinator.failedOver(seed: random.next())
        for number in clients.indices {
            switch clients[number].phase {
            case .joining, .syncing: clients[number].phase = .outside
            case .outside, .working: break
            }
        }
    }

    private mutating func check() {
        #expect(coordinator.fetchAll()["orders", default: [:]] == committed, "seed \(seed), step \(steps)")
        guard steps.isMultiple(of: 25), let mine = coordinator.classic("g") else { return }
        var next = coordinator.failedOver()
        #expect(next.fetchAll()["orders", default: [:]] == committed, "seed \(seed), step \(steps)")
        switch mine.state {
        case .stable: #expect(next.classic("g")?.metadataValue == mine.metadataValue, "seed \(seed), step \(steps)")
        case .empty where mine.isStored:
            #expect(next.classic("g")?.generation == mine.generation && next.state() == "Empty")
        case .empty, .preparingRebalance, .completingRebalance:
            // What the log has is the last generation that was complete.
            #expect((next.classic("g")?.generation ?? 0) <= mine.generation)
        }
    }
}

extension TestCoordinator {
    func classic(_ id: String) -> ClassicGroup? {
        guard let place = core.table.place(of: id), case .classic(let group)? = core.table[place] else { return nil }
        return group
    }
}
