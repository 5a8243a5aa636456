// SPDX-License-Identifier: Apache-2.0

import Broker
import GroupCore
import KafkaWire
import LogModel
import NIOCore

/// All groups of a run: their members and administrators, the network between these and the nodes, and the checks.
final class GroupWorld {
    unowned let cluster: any GroupStage
    let climate: GroupClimate
    /// Also what the data topic is called by.
    static let topicName = "events"
    var checks = GroupChecks()
    private(set) var members: [GroupMember] = []
    private(set) var admins: [GroupAdmin] = []
    /// How many partitions of the topic the cluster knows of by now.
    var visiblePartitions: Int
    /// Over how many partitions the leader of a classic group has divided them in each generation. Not only in the last
    /// one: the coordinator may have fallen before it had stored that, and then the one before is in force again.
    private var divided: [Int: [Int32: Int]] = [:]
    /// The groups whose leader has overlooked that the topic has grown: in which generation, and what it knows of.
    private var overlooked: [Int: (generation: Int32, count: Int)] = [:]
    /// The groups that somebody has asked to delete.
    var deletedGroups: Set<Int> = []
    var forgery: GroupForgery
    /// What no coordinator has answered yet, by number.
    private var exchanges: [Int: Exchange] = [:]
    private var nextExchange = 1
    private var nextWrite = 1

    init(cluster: any GroupStage, climate: GroupClimate) {
        self.cluster = cluster
        self.climate = climate
        forgery = GroupForgery(planted: cluster.planted)
        visiblePartitions = cluster.partitionCount - (climate.expands ? 1 : 0)
        for (group, shape) in climate.groups.enumerated() {
            for number in 0..<shape.members {
                let member: GroupMember
                switch shape.speech {
                case .classic: member = ClassicMember(in: self, group: group, number: number, isStatic: shape.isStatic)
                case .consumer:
                    member = ConsumerMember(in: self, group: group, number: number, isStatic: shape.isStatic)
                }
                members.append(member)
            }
            admins.append(GroupAdmin(in: self, group: group))
        }
    }

    func dissolve() {
        exchanges = [:]
        members = []
        admins = []
    }

    func name(of group: Int) -> String { "g\(group)" }

    // MARK: - What a leader that was away cannot see

    func noteDivision(of group: Int, in generation: Int32, over count: Int) {
        divided[group, default: [:]][generation] = count
    }

    /// A static member that leads its group has come back with the subscription it had. It is told not to divide
    /// anything (KIP-814), and takes the topic as it finds it for what its group's assignment was made from, as Java's
    /// `ConsumerCoordinator.onLeaderElected` does. A partition that came while it was away is nobody's until something
    /// else makes the group rebalance. Before KIP-814 it did not even know that it led.
    func noteReturn(of group: Int, in generation: Int32) {
        guard let count = divided[group]?[generation], count < visiblePartitions else { return }
        overlooked[group] = (generation, count)
    }

    /// How many partitions a group can be expected to read: those from 0 on.
    func expectedPartitions(of group: Int) -> Int {
        guard let known = overlooked[group] else { return cluster.partitionCount }
        let isSame = members.allSatisfy { $0.group != group || !$0.isUp || $0.epoch == known.generation }
        return isSame ? known.count : cluster.partitionCount
    }

    func place(_ group: Int, _ partition: Int32) -> GroupChecks.Place {
        .init(group: name(of: group), partition: partition)
    }

    /// Which partition of `__consumer_offsets` a group belongs to.
    func offsetsPartition(of group: Int) -> Int32 {
        cluster.offsetsPartition(of: group, named: name(of: group), among: climate.offsetsPartitions)
    }

    /// The number by which the cluster knows it.
    func offsetsNumber(of group: Int) -> Int { cluster.partitionCount + Int(offsetsPartition(of: group)) }

    /// A number for an offset that is about to be written: it travels as the offset's metadata.
    func newWrite() -> Int {
        nextWrite += 1
        return nextWrite - 1
    }

    // MARK: - The way there

    /// Sends a request to a node, as a client does, and tells it how that ended.
    func ask(
        _ request: GroupRequest, version: Int16, of group: Int, from client: GroupClient, at place: Int,
        epoch: Int32, then: @escaping (ClientOutcome) -> Void
    ) {
        let life = cluster.life(of: place)
        let exchange = Exchange(
            number: nextExchange, client: client, place: place, life: life ?? -1, group: group, request: request,
            version: version, writes: writes(of: request), then: then)
        exchange.epoch = epoch
        nextExchange += 1
        cluster.count(.request)
        let delay = 20_000 + cluster.random.span(mean: climate.delay)
        guard let life else { return cluster.schedule(after: delay) { exchange.end(.lost) } }
        exchanges[exchange.number] = exchange
        let patience = climate.requestTimeout + (exchange.waitsForOthers ? climate.patience.rebalance : 0)
        cluster.schedule(after: patience) {
            guard exchange.then != nil, exchange.isConnected else { return }
            self.breakConnection(of: client, to: place)
        }
        if isUnlucky() { return breakConnectionSoon(of: client, to: place) }
        let arrival = max(cluster.now + delay, client.lastArrival[place] + 1)
        client.lastArrival[place] = arrival
        cluster.schedule(on: place, life: life, after: arrival - cluster.now) { self.arrive(exchange) }
    }

    private func isUnlucky() -> Bool { !cluster.isCalm && cluster.random.chance(perMille: climate.lossPerMille) }

    private func writes(of request: GroupRequest) -> [Exchange.Write] {
        switch request {
        case .offsetCommit(let request):
            return request.topics.flatMap(\.partitions).compactMap { partition in
                Self.writeNumber(in: partition.committedMetadata).map {
                    Exchange.Write(partition: partition.index, number: $0, offset: partition.committedOffset)
                }
            }
        case .offsetDelete(let request):
            return request.topics.flatMap(\.partitions).map {
                .init(partition: $0.index, number: newWrite(), offset: nil)
            }
        case .deleteGroup:
            return (0..<Int32(cluster.partitionCount)).map {
                .init(partition: $0, number: newWrite(), offset: nil)
            }
        default: return []
        }
    }

    static func writeNumber(in metadata: String?) -> Int? { metadata.flatMap { Int($0.dropFirst()) } }

    private func arrive(_ exchange: Exchange) {
        guard exchange.isConnected, cluster.life(of: exchange.place) != nil else {
            exchanges[exchange.number] = nil
            return
        }
        let group = name(of: exchange.group)
        cluster.say("\(exchange.client.name)→n\(exchange.place) \(group) \(exchange.request.summary)")
        cluster.digest.add(cluster.now)
        cluster.digest.add(exchange.number)
        exchange.arrived = cluster.now
        noteArrival(of: exchange)
        guard cluster.hand(exchange, named: group, answered: { self.released($0, exchange) }) else {
            exchanges[exchange.number] = nil
            return
        }
        guard !exchange.isAnswered, let forged = forgery.early(exchange, in: self) else { return }
        released(forged, exchange)
    }

    // MARK: - The way back

    private func released(_ outcome: GroupOutcome, _ exchange: Exchange) {
        // Only a planted fault has answered before.
        guard !exchange.isAnswered else { return }
        exchange.isAnswered = true
        exchanges[exchange.number] = nil
        let outcome = forgery.distort(outcome, of: exchange, in: self)
        cluster.say("n\(exchange.place)→\(exchange.client.name) \(name(of: exchange.group)) \(outcome.summary)")
        do throws(Violation) {
            try check(outcome, of: exchange)
        } catch {
            cluster.broke(error)
        }
        guard exchange.isConnected else { return }
        if isUnlucky() { return breakConnectionSoon(of: exchange.client, to: exchange.place) }
        let client = exchange.client
        let delay = 20_000 + cluster.random.span(mean: climate.delay)
        let arrival = max(cluster.now + delay, client.lastReturn[exchange.place] + 1)
        client.lastReturn[exchange.place] = arrival
        cluster.schedule(after: arrival - cluster.now) {
            if exchange.isConnected { exchange.end(.answer(outcome)) }
        }
    }

    // MARK: - Connections

    private func breakConnectionSoon(of client: GroupClient, to place: Int) {
        let connection = client.connections[place]
        // Nothing that is sent behind what was lost arrives.
        client.lastArrival[place] = .max / 2
        cluster.schedule(after: cluster.random.span(mean: 5_000_000)) {
            if client.connections[place] == connection { self.breakConnection(of: client, to: place) }
        }
    }

    /// A connection ends: whoever waits for an answer on it is told so.
    func breakConnection(of client: GroupClient, to place: Int) {
        let connection = client.connections[place]
        client.connections[place] += 1
        client.lastArrival[place] = 0
        client.lastReturn[place] = 0
        for number in client.waiting.keys.sorted() {
            guard let exchange = client.waiting[number], exchange.place == place, exchange.connection == connection
            else { continue }
            // What has arrived is carried out all the same.
            if exchange.arrived == nil { exchanges[number] = nil }
            exchange.end(.lost)
        }
    }

    /// A node has died: the system resets its connections.
    func nodeEnded(_ place: Int) {
        for number in exchanges.keys.sorted() {
            guard let exchange = exchanges[number], exchange.place == place else { continue }
            exchanges[number] = nil
            cluster.schedule(after: cluster.random.span(mean: 1_000_000)) { exchange.end(.lost) }
        }
    }

    // MARK: - V2

    /// How long a coordinator that lives may take to answer, whatever the weather: until a leader without a majority
    /// notices, and the slowest disk has synced.
    private func limit(of exchange: Exchange) -> UInt64 {
        let base = 12 * cluster.electionTimeout + 1_500_000_000
        return base + (exchange.waitsForOthers ? climate.patience.rebalance + climate.patience.session : 0)
    }

    /// Looks for requests that wait for ever.
    func scheduleVigil() {
        cluster.schedule(after: 250_000_000) {
            for number in self.exchanges.keys.sorted() {
                guard let exchange = self.exchanges[number], let arrived = exchange.arrived else { continue }
                guard self.cluster.isAwake(exchange.place) else { continue }
                guard self.cluster.now > arrived + self.limit(of: exchange) else { continue }
                let spent = (self.cluster.now - arrived) / 1_000_000
                self.cluster.broke(
                    Violation(
                        .requestsEnd,
                        "n\(exchange.place) has not answered in \(spent) ms: \(self.name(of: exchange.group)) "
                            + exchange.request.summary))
            }
            self.scheduleVigil()
        }
    }
}
