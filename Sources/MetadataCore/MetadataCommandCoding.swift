// SPDX-License-Identifier: Apache-2.0

import LogModel
import Settings

extension MetadataCommand {
    private enum Kind: UInt8 {
        case formCluster = 1
        case registerNode = 2
        case createTopic = 3
        case deleteTopic = 4
        case createPartitions = 5
        case alterTopicConfigs = 6
        case changeTopicConfigs = 17
        case changeGroupConfigs = 18
        case allocateProducerIDs = 16
        case reassign = 19
        case completeReassignment = 20
        case setNodeState = 21
        case removeNode = 22
        case setRebalancing = 23
        case wishVoter = 24
    }

    /// The value of the record that carries this command in the metadata log: version, kind, then the parts in order.
    ///
    /// - Complexity: O(*n*) in partitions and configs.
    public func encode() -> [UInt8] {
        var writer = MetadataWriter()
        writer.byte(metadataVersion)
        switch self {
        case .formCluster(let id):
            writer.byte(Kind.formCluster.rawValue)
            writer.fixed(id.high)
            writer.fixed(id.low)
        case .registerNode(let node):
            writer.byte(Kind.registerNode.rawValue)
            writer.registration(node)
        case .createTopic(let topic):
            writer.byte(Kind.createTopic.rawValue)
            writer.id(topic.id)
            writer.text(topic.name.rawValue)
            writer.placements(topic.partitions)
            writer.configs(topic.configs)
            writer.fixed(UInt64(bitPattern: topic.created.milliseconds))
        case .deleteTopic(let id):
            writer.byte(Kind.deleteTopic.rawValue)
            writer.id(id)
        case .createPartitions(let added):
            writer.byte(Kind.createPartitions.rawValue)
            writer.id(added.topic)
            writer.count(added.after)
            writer.placements(added.partitions)
        case .alterTopicConfigs(let id, let configs):
            writer.byte(Kind.alterTopicConfigs.rawValue)
            writer.id(id)
            writer.configs(configs)
        case .changeTopicConfigs(let id, let changes):
            writer.byte(Kind.changeTopicConfigs.rawValue)
            writer.id(id)
            writer.changes(changes)
        case .changeGroupConfigs(let group, let changes):
            writer.byte(Kind.changeGroupConfigs.rawValue)
            writer.text(group)
            writer.changes(changes)
        case .allocateProducerIDs(let claim):
            writer.byte(Kind.allocateProducerIDs.rawValue)
            writer.node(claim.node)
            writer.fixed(claim.nonce)
        case .reassign, .completeReassignment, .setNodeState, .removeNode, .setRebalancing, .wishVoter:
            encodeMove(into: &writer)
        }
        return writer.bytes
    }

    /// The commands about who keeps what, and which nodes there are.
    private func encodeMove(into writer: inout MetadataWriter) {
        switch self {
        case .reassign(let moves):
            writer.byte(Kind.reassign.rawValue)
            writer.count(moves.count)
            for move in moves {
                writer.partition(move.partition)
                writer.byte(move.target == nil ? 0 : 1)
                if let target = move.target { writer.nodes(target) }
            }
        case .completeReassignment(let partition, let voters):
            writer.byte(Kind.completeReassignment.rawValue)
            writer.partition(partition)
            writer.nodes(voters)
        case .setNodeState(let node, let state):
            writer.byte(Kind.setNodeState.rawValue)
            writer.node(node)
            writer.byte(state.rawValue)
        case .removeNode(let node):
            writer.byte(Kind.removeNode.rawValue)
            writer.node(node)
        case .setRebalancing(let isWanted):
            writer.byte(Kind.setRebalancing.rawValue)
            writer.byte(isWanted ? 1 : 0)
        case .wishVoter(let node, let wish):
            writer.byte(Kind.wishVoter.rawValue)
            writer.node(node)
            writer.byte(wish?.rawValue ?? 0)
        default: preconditionFailure("\(self) is no command about moves")
        }
    }

    /// Reads what `encode` wrote.
    ///
    /// - Complexity: O(*n*) in bytes.
    public init(decoding bytes: [UInt8]) throws(MetadataDecodingError) {
        var reader = MetadataReader(bytes)
        let version = try reader.byte()
        guard version == metadataVersion else { throw .unknownVersion(version) }
        let raw = try reader.byte()
        guard let kind = Kind(rawValue: raw) else { throw .unknownCommand(raw) }
        switch kind {
        case .formCluster:
            self = .formCluster(ClusterID(high: try reader.fixed(), low: try reader.fixed()))
        case .registerNode:
            self = .registerNode(try reader.registration())
        case .createTopic:
            let id = try reader.topicID()
            let name = try reader.topicName()
            let partitions = try reader.placements()
            let configs = try reader.configs()
            let created = try reader.timestamp()
            self = .createTopic(
                NewTopic(id: id, name: name, partitions: partitions, configs: configs, created: created))
        case .deleteTopic:
            self = .deleteTopic(try reader.topicID())
        case .createPartitions:
            let id = try reader.topicID()
            let after = try reader.varint()
            guard after <= UInt64(MetadataBounds.partitions) else { throw .tooLarge("a count of partitions") }
            let partitions = try reader.placements()
            self = .createPartitions(AddedPartitions(topic: id, after: Int(after), partitions: partitions))
        case .alterTopicConfigs:
            self = .alterTopicConfigs(try reader.topicID(), try reader.configs())
        case .changeTopicConfigs:
            self = .changeTopicConfigs(try reader.topicID(), try reader.changes())
        case .changeGroupConfigs:
            self = .changeGroupConfigs(try reader.groupName(), try reader.changes())
        case .allocateProducerIDs:
            self = .allocateProducerIDs(ProducerIDClaim(node: try reader.node(), nonce: try reader.fixed()))
        case .reassign:
            self = .reassign(try reader.moves())
        case .completeReassignment:
            self = .completeReassignment(try reader.partition(), try reader.nodes())
        case .setNodeState:
            let node = try reader.node()
            guard let state = NodeState(rawValue: try reader.byte()) else { throw .malformed("a node's state") }
            self = .setNodeState(node, state)
        case .removeNode:
            self = .removeNode(try reader.node())
        case .setRebalancing:
            self = .setRebalancing(try reader.flag("a wish for balance"))
        case .wishVoter:
            let node = try reader.node()
            let raw = try reader.byte()
            let wish = VoterWish(rawValue: raw)
            guard wish != nil || raw == 0 else { throw .malformed("a wish for a voter") }
            self = .wishVoter(node, wish)
        }
        try reader.finish()
    }
}
