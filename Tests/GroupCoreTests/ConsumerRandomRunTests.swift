// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings
import Testing

@testable import GroupCore

/// Many members of both protocols that come, go, crash and miss replies, coordinators that fail over, topics that come
/// and go: no partition is ever two members' own, and once all is quiet every partition is somebody's.
@Suite struct ConsumerRandomRunTests {
    @Test(arguments: 0..<30) func membersOfTheConsumerProtocol(seed: UInt64) {
        var run = ConsumerRun(seed: seed, classicShare: 0)
        run.play(steps: 400)
        run.settle()
    }

    @Test(arguments: 0..<30) func membersOfBothProtocols(seed: UInt64) {
        var run = ConsumerRun(seed: 1_000 + seed, classicShare: 50)
        run.play(steps: 400)
        run.settle()
    }
}

/// What a client believes. It obeys: what it is told to give back it gives back, then says so.
private struct Client {
    enum Classic {
        case joining(UInt64), syncing(UInt64), member
    }

    var id: String
    var instance: String?
    var topics: [String]?
    var regex: String?
    /// `nil` for the consumer protocol.
    var classic: Classic?
    var epoch: Int32 = 0
    var owned = PartitionSet()
    /// Whether the next heartbeat says everything: it may have missed a reply.
    var saysAll = true

    mutating func loseAll() {
        epoch = 0
        owned = PartitionSet()
        saysAll = true
    }
}

private struct ConsumerRun {
    var bed: ConsumerTestbed
    var random: GroupRandom
    var clients: [Client] = []
    let classicShare: Int
    private var born = 0

    init(seed: UInt64, classicShare: Int) {
        var settings = GroupSettings()
        settings.initialRebalanceDelay = 100
        bed = ConsumerTestbed(settings: settings)
        random = GroupRandom(seed: seed)
        self.classicShare = classicShare
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    mutating func play(steps: Int) {
        for _ in 0..<steps {
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<8: if clients.count < 12 { arrive() }
            case 8..<10: depart(gracefully: true)
            case 10..<12: depart(gracefully: false)
            case 12..<15: changeTopics()
            case 15..<18: failOver()
            case 18..<22: changeSubscription()
            default: break
            }
            for place in clients.indices {
                // Sessions of the classic protocol are short: who is late here is gone.
                if clients[place].classic != nil || chance(60) { beat(place, losesReply: chance(15)) }
            }
            bed.advance(milliseconds: Int.random(in: 100...3_000, using: &random))
            check()
        }
    }

    /// Nothing happens any more but heartbeats.
    mutating func settle() {
        for _ in 0..<60 {
            for place in clients.indices { beat(place, losesReply: false) }
            bed.advance(milliseconds: 1_500)
            check()
        }
        guard !clients.isEmpty else { return }
        var expected = PartitionSet()
        for topic in bed.topics.topics where clients.contains(where: { subscribes($0, to: topic.name) }) {
            expected = expected.union(bed.set(topic.name, (0..<topic.partitionCount).map { Int32($0) }))
        }
        let owned = clients.reduce(PartitionSet()) { $0.union($1.owned) }
        #expect(owned == expected, "every partition is somebody's")
        for client in clients {
            for topic in client.owned.topics {
                let name = bed.topics.topic(id: topic.topicID)?.name ?? ""
                #expect(subscribes(client, to: name), "nobody has what it does not subscribe to")
            }
        }
        let list = bed.core.list()
        #expect(list.first?.groupState == "Stable", "\(bed.explain().waits)")
        checkReplay()
    }

    private func subscribes(_ client: Client, to topic: String) -> Bool {
        client.topics?.contains(topic) ?? false || client.regex != nil && topic.hasPrefix("pay")
    }

    // MARK: What happens

    private mutating func arrive() {
        born += 1
        var client = Client(id: "member-\(born)", topics: nil)
        if classicShare > 0, chance(classicShare) {
            client.id = ""
            client.classic = .joining(0)
        }
        choose(&client)
        clients.append(client)
    }

    private mutating func choose(_ client: inout Client) {
        let all = [["orders"], ["payments"], ["orders", "payments"], ["orders", "payouts"]]
        client.topics = all.randomElement(using: &random)
        if client.classic == nil { client.regex = chance(30) ? "pay.*" : nil }
    }

    private mutating func depart(gracefully: Bool) {
        guard !clients.isEmpty else { return }
        let client = clients.remove(at: Int.random(in: clients.indices, using: &random))
        guard gracefully, !client.id.isEmpty else { return }
        if client.classic == nil {
            _ = bed.heartbeat(client.id, -1)
        } else {
            _ = bed.leaveClassic(client.id)
        }
    }

    private mutating func changeTopics() {
        var image: [String: Int] = [:]
        for name in ["orders", "payments", "payouts", "others"] where name == "orders" || chance(70) {
            let before = bed.topics.topic(named: name)?.partitionCount ?? 0
            image[name] = max(before, Int.random(in: 1...8, using: &random))
        }
        bed.change(topics: ConsumerTestbed.image(image))
        // What is gone nobody can have.
        let topics = bed.topics
        for place in clients.indices {
            clients[place].owned = clients[place].owned.filter { topic, _ in topics.topic(id: topic) != nil }
        }
    }

    private mutating func failOver() {
        checkReplay()
        bed.failOver(seed: random.next())
        // Replies that were still to come never do.
        bed.replies.removeAll()
        for place in clients.indices {
            clients[place].saysAll = true
            switch clients[place].classic {
            case .joining?, .syncing?: clients[place].classic = .joining(0)
            case .member?, nil: break
            }
        }
    }

    private mutating func changeSubscription() {
        guard !clients.isEmpty else { return }
        let place = Int.random(in: clients.indices, using: &random)
        var client = clients[place]
        choose(&client)
        client.saysAll = true
        clients[place] = client
        if clients[place].classic != nil { rejoin(place) }
    }

    // MARK: Clients

    private mutating func beat(_ place: Int, losesReply: Bool) {
        guard clients[place].classic == nil else { return beatClassic(place) }
        let client = clients[place]
        let saysAll = client.saysAll
        let reply = bed.heartbeat(
            client.id, client.epoch, owned: client.epoch == 0 ? PartitionSet() : client.owned
        ) { request in
            guard saysAll else { return }
            request.rebalanceTimeout = 30_000
            request.subscribedTopicNames = client.topics ?? []
            request.subscribedTopicRegex = client.regex ?? ""
        }
        clients[place].saysAll = losesReply
        if losesReply { return }
        switch reply.error {
        case .none:
            clients[place].epoch = reply.memberEpoch
            if let partitions = reply.partitions { clients[place].owned = partitions }
        case .fencedMemberEpoch, .unknownMemberID, .groupIDNotFound: clients[place].loseAll()
        default: Issue.record("\(reply.error) \(reply.errorMessage ?? "")")
        }
    }

    /// An eager consumer: it gives up everything before it joins.
    private mutating func rejoin(_ place: Int) {
        clients[place].owned = PartitionSet()
        clients[place].classic = .joining(bed.joinClassic(clients[place].id, topics: clients[place].topics ?? []))
    }

    private mutating func beatClassic(_ place: Int) {
        switch clients[place].classic {
        case .joining(let call):
            guard call != 0 else { return rejoin(place) }
            guard let reply = bed.joined(call) else { return }
            switch reply.error {
            case .none: sync(place, reply)
            case .memberIDRequired:
                clients[place].id = reply.memberID
                rejoin(place)
            case .unknownMemberID:
                clients[place].id = ""
                rejoin(place)
            default: rejoin(place)
            }
        case .syncing(let call):
            guard let reply = bed.synced(call) else { return }
            if reply.error == .none {
                let topics = bed.topics
                clients[place].owned = bed.partitions(reply.assignment).filter { topic, _ in
                    topics.topic(id: topic) != nil
                }
                clients[place].classic = .member
            } else {
                if reply.error == .unknownMemberID { clients[place].id = "" }
                rejoin(place)
            }
        case .member?:
            let error = bed.heartbeatClassic(clients[place].id, clients[place].epoch)
            guard error != ErrorCode.none || !isAssignmentWhole(place) else { return }
            if error == .unknownMemberID { clients[place].id = "" }
            rejoin(place)
        case nil: break
        }
    }

    /// A leader of a classic group watches its topics and rebalances when they change.
    private func isAssignmentWhole(_ place: Int) -> Bool {
        guard bed.group() == nil, let table = bed.core.table.place(of: "g").flatMap({ bed.core.table[$0] }),
            case .classic(let group) = table, group.leader == clients[place].id
        else { return true }
        let all = clients.reduce(PartitionSet()) { $0.union($1.owned) }
        let topics = bed.topics.topics.filter { topic in clients.contains { subscribes($0, to: topic.name) } }
        return group.state != .stable || all.count == topics.reduce(0) { $0 + $1.partitionCount }
    }

    private mutating func sync(_ place: Int, _ reply: JoinGroupResponse) {
        clients[place].epoch = reply.generationID
        var assignments: [String: ByteBuffer] = [:]
        if reply.leader == reply.memberID { assignments = share(reply) }
        clients[place].classic = .syncing(
            bed.syncClassic(reply.memberID, reply.generationID, assignments: assignments))
    }

    /// A leader's work: each topic round among its subscribers.
    private func share(_ reply: JoinGroupResponse) -> [String: ByteBuffer] {
        var shares: [String: [String: [Int32]]] = [:]
        let members = reply.members.map { member in
            (member.memberID, (try? ConsumerProtocolSubscription.decode(member.metadata).data.topics) ?? [])
        }
        for topic in bed.topics.topics {
            let takers = members.filter { $0.1.contains(topic.name) }
            for partition in 0..<topic.partitionCount where !takers.isEmpty {
                let taker = takers[partition % takers.count].0
                shares[taker, default: [:]][topic.name, default: []].append(Int32(partition))
            }
        }
        return shares.mapValues { share in
            var assignment = ConsumerProtocolAssignment()
            assignment.assignedPartitions = share.sorted { $0.key < $1.key }.map {
                var item = ConsumerProtocolTopicPartitions()
                item.topic = $0.key
                item.partitions = $0.value
                return item
            }
            return (try? assignment.encode(version: 1)) ?? ByteBuffer()
        }
    }

    // MARK: What must hold

    private mutating func check() {
        var owners: [PartitionID: String] = [:]
        for client in clients {
            for partition in client.owned.partitions {
                let other = owners.updateValue(client.id, forKey: partition)
                #expect(other == nil, "\(partition) is \(other ?? "")'s and \(client.id)'s")
            }
        }
        guard let group = bed.group() else { return }
        #expect(group.assignmentEpoch <= group.groupEpoch)
        #expect(group.members.values.allSatisfy { $0.epoch <= group.assignmentEpoch })
        #expect(group.classicCount == group.members.values.filter(\.isClassic).count)
        #expect(group.footprint == group.members.values.reduce(0) { $0 + $1.footprint })
    }

    private mutating func checkReplay() {
        let before = bed.describe()
        for log in [bed.log, bed.compacted] {
            var other = ConsumerTestbed(settings: bed.settings, topics: bed.topics, log: log)
            let again = other.describe()
            // A classic group that nobody has completed a rebalance of is not in the log.
            #expect(before.error == .none ? again == before : again.error == before.error)
            #expect(other.group()?.holders == bed.group()?.holders)
        }
    }
}
