// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// What group coordination knows of the cluster's topics: their names, ids and partitions. In order of names.
public struct TopicsImage: Hashable, Sendable {
    public struct Topic: Hashable, Sendable {
        public let id: TopicID
        public let name: String
        /// The racks of each partition's replicas, as far as they are known.
        public let partitionRacks: [[String]]

        public init(id: TopicID, name: String, partitionRacks: [[String]]) {
            self.id = id
            self.name = name
            self.partitionRacks = partitionRacks
        }

        public var partitionCount: Int { partitionRacks.count }
    }

    public let topics: [Topic]
    private let placeOfName: [String: Int]
    private let placeOfID: [TopicID: Int]

    /// - Parameter topics: each name and each id once.
    public init(_ topics: [Topic]) {
        self.topics = topics.sorted { $0.name < $1.name }
        placeOfName = Dictionary(uniqueKeysWithValues: self.topics.enumerated().map { ($1.name, $0) })
        placeOfID = Dictionary(uniqueKeysWithValues: self.topics.enumerated().map { ($1.id, $0) })
    }

    public func topic(named name: String) -> Topic? { placeOfName[name].map { topics[$0] } }

    public func topic(id: TopicID) -> Topic? { placeOfID[id].map { topics[$0] } }
}
