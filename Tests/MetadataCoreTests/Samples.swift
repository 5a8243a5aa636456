// SPDX-License-Identifier: Apache-2.0

import LogModel
import MetadataCore
import Settings

/// SplitMix64: the same seed gives the same numbers on every machine.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}

let sampleCluster = ClusterID(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210)

func topicID(_ number: UInt64) -> TopicID { TopicID(high: 7, low: number) }

func name(_ text: String) -> TopicName {
    guard let name = try? TopicName(text) else { preconditionFailure("'\(text)' is a legal name") }
    return name
}

func configs(_ given: [(String, String)]) -> TopicConfigs {
    guard let configs = try? TopicConfigs(validating: given.map { ($0.0, $0.1) }) else {
        preconditionFailure("the configs are legal")
    }
    return configs
}

func registration(_ id: Int32, rack: String? = nil, kafkaPort: UInt16 = 9092, disk: UInt64 = 1) -> NodeRegistration {
    NodeRegistration(
        id: NodeID(id), kafka: NetworkAddress(host: "h\(id)", port: kafkaPort),
        peer: NetworkAddress(host: "p\(id)", port: 19092), rack: rack, directory: DirectoryID(high: disk, low: 2))
}

/// Placements by the numbers of their nodes.
func placements(_ lists: [Int32]...) -> [PartitionPlacement] {
    lists.map { PartitionPlacement(replicas: $0.map { NodeID($0) }) }
}

func nodes(_ numbers: Int32...) -> [NodeID] { numbers.map { NodeID($0) } }

func move(_ topic: UInt64, _ index: Int32, _ target: [Int32]?) -> PartitionMove {
    PartitionMove(
        partition: PartitionID(topic: topicID(topic), index: index), target: target.map { $0.map { NodeID($0) } })
}

func newTopic(
    _ text: String, id: UInt64, _ partitions: [PartitionPlacement] = placements([1, 2, 3]),
    configs: TopicConfigs = TopicConfigs()
) -> MetadataCommand {
    .createTopic(
        NewTopic(
            id: topicID(id), name: name(text), partitions: partitions, configs: configs,
            created: Timestamp(milliseconds: 1_700_000_000_000)))
}

extension ClusterState {
    /// Applies a command behind all others.
    @discardableResult
    mutating func apply(_ command: MetadataCommand) -> MetadataChange { apply(command, at: end) }

    /// A cluster of nodes 1 to `nodes`, each in the rack of its position.
    static func formed(nodes: Int32 = 3, racks: [String] = []) -> ClusterState {
        var state = ClusterState()
        state.apply(.formCluster(sampleCluster))
        for id in 1...nodes {
            let rack = racks.isEmpty ? nil : racks[Int(id - 1) % racks.count]
            state.apply(.registerNode(registration(id, rack: rack)))
        }
        return state
    }

    /// Whether all but `end` is the same.
    func says(sameAs other: ClusterState) -> Bool {
        clusterID == other.clusterID && nodes == other.nodes && allTopics == other.allTopics
            && partitionCount == other.partitionCount && drainingNodes == other.drainingNodes
            && removedNodes == other.removedNodes && isRebalancing == other.isRebalancing
            && voterWishes == other.voterWishes
    }
}

/// One command of every kind, with every part off its default.
let sampleCommands: [MetadataCommand] = [
    .formCluster(sampleCluster),
    .registerNode(registration(3, rack: "zone-ä")),
    .registerNode(registration(Int32.max, rack: nil)),
    newTopic(
        "events", id: 1, placements([1, 2, 3], [2, 300, 70_000]),
        configs: configs([("retention.ms", "1000"), ("segment.bytes", "16384")])),
    .deleteTopic(topicID(9)),
    .createPartitions(AddedPartitions(topic: topicID(1), after: 200, partitions: placements([3], [1]))),
    .alterTopicConfigs(topicID(1), configs([("max.message.bytes", "5")])),
    .alterTopicConfigs(topicID(1), TopicConfigs()),
    .changeTopicConfigs(topicID(1), [ConfigChange(name: "a", value: "1"), ConfigChange(name: "b", value: nil)]),
    .changeGroupConfigs("orders", [ConfigChange(name: "consumer.session.timeout.ms", value: "50000")]),
    .allocateProducerIDs(ProducerIDClaim(node: NodeID(300), nonce: .max - 1)),
    .reassign([move(1, 0, [4, 300]), move(1, 200, nil)]),
    .completeReassignment(PartitionID(topic: topicID(1), index: 7), [NodeID(1), NodeID(300)]),
    .setNodeState(NodeID(3), .draining),
    .setNodeState(NodeID(300), .active),
    .removeNode(NodeID(4)),
    .setRebalancing(true),
    .wishVoter(NodeID(300), .voter),
    .wishVoter(NodeID(1), nil),
]

/// A history drawn from a seed, in which commands clash now and then.
func history(seed: UInt64, length: Int = 80) -> [MetadataCommand] {
    var random = SeededRandom(seed: seed)
    var commands: [MetadataCommand] = [.formCluster(sampleCluster)]
    for id in 1...4 as ClosedRange<Int32> { commands.append(.registerNode(registration(id))) }
    while commands.count < length {
        let id = UInt64.random(in: 1...12, using: &random)
        let nodes: [Int32] = Array(1...5).shuffled(using: &random)
        let lists = (0..<Int.random(in: 0...3, using: &random)).map { _ in
            PartitionPlacement(replicas: nodes.prefix(Int.random(in: 1...3, using: &random)).map { NodeID($0) })
        }
        switch Int.random(in: 0..<14, using: &random) {
        case 10:
            let target = Int.random(in: 0..<4, using: &random) == 0 ? nil : Array(nodes.prefix(3))
            commands.append(.reassign([move(id, Int32.random(in: 0...2, using: &random), target)]))
        case 11:
            let partition = PartitionID(topic: topicID(id), index: Int32.random(in: 0...2, using: &random))
            commands.append(.completeReassignment(partition, nodes.prefix(3).map { NodeID($0) }))
        case 12:
            commands.append(.setNodeState(NodeID(nodes[0]), Bool.random(using: &random) ? .draining : .active))
            commands.append(.setRebalancing(Bool.random(using: &random)))
            commands.append(.wishVoter(NodeID(nodes[1]), [nil, .voter, .observer][Int(id % 3)]))
        case 13: commands.append(.removeNode(NodeID(nodes[0])))
        case 0: commands.append(.formCluster(ClusterID(high: id, low: 0)))
        case 1:
            let disk = UInt64.random(in: 1...2, using: &random)
            commands.append(.registerNode(registration(Int32(id % 6), disk: disk)))
        case 2, 3: commands.append(.deleteTopic(topicID(id)))
        case 4, 5:
            let after = Int.random(in: 1...3, using: &random)
            commands.append(.createPartitions(AddedPartitions(topic: topicID(id), after: after, partitions: lists)))
        case 6:
            let bytes = Int.random(in: 1...3, using: &random)
            commands.append(.allocateProducerIDs(ProducerIDClaim(node: NodeID(Int32(id % 6)), nonce: id)))
            commands.append(.alterTopicConfigs(topicID(id), configs([("retention.bytes", "\(bytes)")])))
        default:
            let text = ["a.b", "a_b", "a", "b", "c", "d", "E", "f-g"].randomElement(using: &random) ?? "a"
            commands.append(newTopic(text, id: id, lists))
        }
    }
    return commands
}
