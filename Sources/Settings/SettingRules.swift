// SPDX-License-Identifier: Apache-2.0

import LogModel

/// A rule between settings that is broken.
public struct RuleBreach: Hashable, Sendable {
    /// The settings that disagree, the one to change first.
    public let settings: [String]
    public let message: String
}

extension NodeSettings {
    /// Rules that no single setting can check. Empty when all hold.
    public func breaches() -> [RuleBreach] {
        var breaches: [RuleBreach] = []
        func require(_ holds: Bool, _ settings: [String], _ message: @autoclosure () -> String) {
            if !holds { breaches.append(RuleBreach(settings: settings, message: message())) }
        }
        require(
            raft.heartbeatInterval * 5 <= raft.electionTimeout, ["raft.heartbeat.interval", "raft.election.timeout"],
            "raft.heartbeat.interval (\(raft.heartbeatInterval.settingText)) must be at most a fifth of "
                + "raft.election.timeout (\(raft.electionTimeout.settingText))")
        require(
            raft.reconnectDelay < raft.electionTimeout, ["raft.reconnect.delay", "raft.election.timeout"],
            "raft.reconnect.delay must be shorter than raft.election.timeout")
        require(
            raft.appendBytes <= raft.inflightBytes, ["raft.append.bytes", "raft.append.inflight.bytes"],
            "raft.append.bytes must not exceed raft.append.inflight.bytes")
        require(
            requests.messageBytesMax <= requests.bytesMax, ["message.bytes.max", "request.bytes.max"],
            "message.bytes.max must not exceed request.bytes.max: no producer could send such a batch")
        require(
            requests.bytesMax <= requests.bytesInflight, ["request.bytes.max", "request.bytes.inflight"],
            "request.bytes.max must not exceed request.bytes.inflight: such a request could never be read")
        require(
            requests.messageBytesMax <= storage.segmentBytes, ["message.bytes.max", "log.segment.bytes"],
            "message.bytes.max must not exceed log.segment.bytes")
        require(
            connections.maxPerIP <= connections.max || connections.maxPerIP == Setting.connectionsMaxPerIP.initial,
            ["connections.max.per.ip", "connections.max"], "connections.max.per.ip must not exceed connections.max")
        require(
            topics.defaultPartitions <= topics.partitionsPerTopicMax,
            ["default.partitions", "partitions.per.topic.max"],
            "default.partitions must not exceed partitions.per.topic.max")
        require(
            !kafka.listen.isWildcard || kafka.advertise != nil, ["kafka.advertise", "kafka.listen"],
            "kafka.listen is \(kafka.listen.host), which clients cannot connect to: set kafka.advertise")
        require(
            !peer.listen.isWildcard || peer.advertise != nil || isVoter, ["peer.advertise", "peer.listen"],
            "peer.listen is \(peer.listen.host), which nodes cannot connect to: set peer.advertise")
        require(
            Set(cluster.seeds).count == cluster.seeds.count, ["cluster.seeds"],
            "one address is among cluster.seeds twice")
        require(
            kafka.listen != peer.listen || kafka.listen.port == 0, ["peer.listen", "kafka.listen"],
            "peer.listen and kafka.listen must differ")
        let addresses = voters.map(\.address)
        require(
            Set(addresses).count == addresses.count, ["cluster.voters"], "two of cluster.voters have one address")
        require(
            !voters.contains { $0.address.isWildcard }, ["cluster.voters"],
            "cluster.voters holds an address that stands for every interface, which nobody can connect to")
        if let own = voters.first(where: { $0.id == node.id })?.address, !peer.listen.isWildcard, peer.listen.port != 0
        {
            require(
                own.port == peer.listen.port, ["peer.listen", "cluster.voters"],
                "peer.listen is port \(peer.listen.port), but cluster.voters sends node \(node.id.rawValue)'s peers "
                    + "to port \(own.port)")
        }
        return breaches + groupBreaches()
    }

    private func groupBreaches() -> [RuleBreach] {
        let consumer = groups.consumer
        let ordered: [(low: Int, lowName: String, high: Int, highName: String)] = [
            (
                groups.sessionTimeoutMin, "group.min.session.timeout.ms",
                groups.sessionTimeoutMax, "group.max.session.timeout.ms"
            ),
            (
                consumer.sessionTimeoutMin, "group.consumer.min.session.timeout.ms",
                consumer.sessionTimeout, "group.consumer.session.timeout.ms"
            ),
            (
                consumer.sessionTimeout, "group.consumer.session.timeout.ms",
                consumer.sessionTimeoutMax, "group.consumer.max.session.timeout.ms"
            ),
            (
                consumer.heartbeatIntervalMin, "group.consumer.min.heartbeat.interval.ms",
                consumer.heartbeatInterval, "group.consumer.heartbeat.interval.ms"
            ),
            (
                consumer.heartbeatInterval, "group.consumer.heartbeat.interval.ms",
                consumer.heartbeatIntervalMax, "group.consumer.max.heartbeat.interval.ms"
            ),
        ]
        var breaches = ordered.filter { $0.low > $0.high }.map {
            RuleBreach(
                settings: [$0.lowName, $0.highName],
                message: "\($0.lowName) (\($0.low)) must not exceed \($0.highName) (\($0.high))")
        }
        if consumer.heartbeatInterval >= consumer.sessionTimeout {
            breaches.append(
                RuleBreach(
                    settings: ["group.consumer.heartbeat.interval.ms", "group.consumer.session.timeout.ms"],
                    message: "group.consumer.heartbeat.interval.ms (\(consumer.heartbeatInterval)) must be less than "
                        + "group.consumer.session.timeout.ms (\(consumer.sessionTimeout))"))
        }
        return breaches
    }

    /// Whether this node is one of those that form the cluster.
    public var isVoter: Bool { voters.contains { $0.id == node.id } }
}
