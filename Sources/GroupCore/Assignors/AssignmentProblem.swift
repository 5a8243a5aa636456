// SPDX-License-Identifier: Apache-2.0

import LogModel
import Settings

/// Topics to share out among members: what an assignor is asked.
struct AssignmentProblem: Sendable {
    struct Topic: Hashable, Sendable {
        var id: TopicID
        var partitionCount: Int
    }

    struct Member: Hashable, Sendable {
        var id: String
        var instanceID: String?
        /// Places in `topics`, ascending.
        var topics: [Int]
        /// What it was to have until now; whatever of this no longer exists is passed over.
        var previous: PartitionSet
    }

    /// In ascending order of their ids.
    var topics: [Topic]
    /// In ascending order of their ids.
    var members: [Member]

    /// Whether all members subscribe to the same topics.
    var isHomogeneous: Bool { members.allSatisfy { $0.topics == members[0].topics } }

    /// The answer: one set for each member, in the order of the members.
    ///
    /// The same problem always has the same answer.
    /// - Complexity: linear in partitions, plus members for each topic that not all subscribe to alike.
    func solved(by assignor: GroupAssignor) -> [PartitionSet] {
        guard !members.isEmpty else { return [] }
        switch assignor {
        case .uniform: return isHomogeneous ? EvenSharing(self).solve() : BalancedSharing(self).solve()
        case .range: return RangeSharing(self).solve()
        }
    }

    /// What members keep of their previous partitions: of the topics they still subscribe to, and each one once.
    func kept() -> (byMember: [[[Int32]]], taken: [[Bool]]) {
        var taken = topics.map { Array(repeating: false, count: $0.partitionCount) }
        let byMember = members.map { member in
            let previous = Dictionary(uniqueKeysWithValues: member.previous.topics.map { ($0.topicID, $0.partitions) })
            return member.topics.map { topic in
                (previous[topics[topic].id] ?? []).filter { partition in
                    guard partition >= 0, partition < topics[topic].partitionCount, !taken[topic][Int(partition)] else {
                        return false
                    }
                    taken[topic][Int(partition)] = true
                    return true
                }
            }
        }
        return (byMember, taken)
    }

    /// The set of one member, from what it has of each of its topics.
    func partitionSet(of member: Member, _ partitions: [[Int32]]) -> PartitionSet {
        PartitionSet(
            zip(member.topics, partitions).compactMap { topic, partitions in
                partitions.isEmpty
                    ? nil : AssignedTopicPartitions(topicID: topics[topic].id, partitions: partitions.sorted())
            })
    }
}

/// `range`: each topic cut into runs, one for each subscriber, so that members with the same subscriptions have the same
/// partitions of topics of the same size. Static members come first, in the order of their instance ids, and so keep
/// their runs when they come back under another member id (KIP-848, as Kafka 4.0).
struct RangeSharing {
    private let problem: AssignmentProblem

    init(_ problem: AssignmentProblem) { self.problem = problem }

    func solve() -> [PartitionSet] {
        let members = problem.members
        let order = members.indices.sorted { Self.precedes(members[$0], members[$1]) }
        var subscribers = Array(repeating: 0, count: problem.topics.count)
        for member in members {
            for topic in member.topics { subscribers[topic] += 1 }
        }
        var rank = Array(repeating: 0, count: problem.topics.count)
        var start = rank
        var answer = Array(repeating: PartitionSet(), count: members.count)
        for place in order {
            let partitions = members[place].topics.map { topic -> [Int32] in
                let (share, extra) = problem.topics[topic].partitionCount
                    .quotientAndRemainder(dividingBy: subscribers[topic])
                let end = start[topic] + share + (rank[topic] < extra ? 1 : 0)
                defer {
                    start[topic] = end
                    rank[topic] += 1
                }
                return (start[topic]..<end).map { Int32($0) }
            }
            answer[place] = problem.partitionSet(of: members[place], partitions)
        }
        return answer
    }

    private static func precedes(_ one: AssignmentProblem.Member, _ other: AssignmentProblem.Member) -> Bool {
        switch (one.instanceID, other.instanceID) {
        case (let first?, let second?): first < second
        case (_?, nil): true
        case (nil, _?): false
        case (nil, nil): one.id < other.id
        }
    }
}
