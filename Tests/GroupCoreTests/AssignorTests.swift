// SPDX-License-Identifier: Apache-2.0

import LogModel
import Settings
import Testing

@testable import GroupCore

@Suite struct AssignorTests {
    private typealias Problem = AssignmentProblem

    private static func topicID(_ number: Int) -> TopicID { TopicID(high: 7, low: UInt64(number + 1)) }

    private func topics(_ counts: [Int]) -> [Problem.Topic] {
        counts.enumerated().map { Problem.Topic(id: Self.topicID($0), partitionCount: $1) }
    }

    private func member(_ id: String, _ topics: [Int], instance: String? = nil) -> Problem.Member {
        Problem.Member(id: id, instanceID: instance, topics: topics, previous: PartitionSet())
    }

    private func set(_ topics: [Int: [Int32]]) -> PartitionSet {
        PartitionSet(topics.map { AssignedTopicPartitions(topicID: Self.topicID($0), partitions: $1) })
    }

    /// Every partition of every subscribed topic exactly once, and only with subscribers.
    private func check(_ problem: Problem, _ answer: [PartitionSet]) {
        #expect(answer.count == problem.members.count)
        var owners: [PartitionID: Int] = [:]
        for (member, answer) in zip(problem.members, answer) {
            let mine = Set(member.topics.map { problem.topics[$0].id })
            for partition in answer.partitions {
                #expect(mine.contains(partition.topic))
                owners[partition, default: 0] += 1
            }
        }
        let subscribed = Set(problem.members.flatMap(\.topics))
        let expected = subscribed.reduce(0) { $0 + problem.topics[$1].partitionCount }
        #expect(owners.count == expected)
        #expect(owners.values.allSatisfy { $0 == 1 })
    }

    @Test func rangeCutsEveryTopicIntoRuns() {
        let problem = Problem(topics: topics([5, 5]), members: [member("a", [0, 1]), member("b", [0, 1])])
        #expect(problem.solved(by: .range) == [set([0: [0, 1, 2], 1: [0, 1, 2]]), set([0: [3, 4], 1: [3, 4]])])
    }

    @Test func rangeGivesATopicToItsSubscribersOnly() {
        let problem = Problem(
            topics: topics([3, 2]), members: [member("a", [0]), member("b", [0, 1]), member("c", [1])])
        #expect(problem.solved(by: .range) == [set([0: [0, 1]]), set([0: [2], 1: [0]]), set([1: [1]])])
    }

    @Test func rangeLeavesMembersOverWithoutPartitions() {
        let problem = Problem(topics: topics([1]), members: [member("a", [0]), member("b", [0])])
        #expect(problem.solved(by: .range) == [set([0: [0]]), PartitionSet()])
    }

    @Test func rangeKnowsStaticMembersByTheirInstanceID() {
        for ids in [["a", "b"], ["y", "x"]] {
            let members = [member(ids[0], [0], instance: "i1"), member(ids[1], [0], instance: "i0"), member("c", [0])]
            let problem = Problem(topics: topics([3]), members: members.sorted { $0.id < $1.id })
            let answer = problem.solved(by: .range)
            let ofInstance = Dictionary(
                uniqueKeysWithValues: zip(problem.members, answer).map { ($0.instanceID ?? "none", $1) })
            #expect(ofInstance == ["i0": set([0: [0]]), "i1": set([0: [1]]), "none": set([0: [2]])])
        }
    }

    @Test func uniformSharesEvenly() {
        let problem = Problem(topics: topics([3, 2]), members: [member("a", [0, 1]), member("b", [0, 1])])
        #expect(problem.solved(by: .uniform) == [set([0: [0, 1, 2]]), set([1: [0, 1]])])
    }

    @Test func uniformMovesOnlyWhatALeaverHad() {
        var problem = Problem(topics: topics([12]), members: ["a", "b", "c", "d"].map { member($0, [0]) })
        let before = problem.solved(by: .uniform)
        for place in problem.members.indices { problem.members[place].previous = before[place] }
        problem.members.remove(at: 1)
        let after = problem.solved(by: .uniform)
        #expect(before[0].isSubset(of: after[0]))
        #expect(before[2].isSubset(of: after[1]))
        #expect(before[3].isSubset(of: after[2]))
        #expect(after.map(\.count) == [4, 4, 4])
    }

    @Test func whoHasOneMoreKeepsIt() {
        var problem = Problem(topics: topics([5]), members: [member("a", [0]), member("b", [0])])
        problem.members[0].previous = set([0: [0, 1]])
        problem.members[1].previous = set([0: [2, 3, 4]])
        #expect(problem.solved(by: .uniform) == problem.members.map(\.previous))
    }

    @Test func whatNoLongerExistsIsPassedOver() {
        var problem = Problem(topics: topics([2]), members: [member("a", [0]), member("b", [0])])
        problem.members[0].previous = set([0: [0, 7], 5: [0]])
        problem.members[1].previous = set([0: [0, 1]])
        #expect(problem.solved(by: .uniform) == [set([0: [0]]), set([0: [1]])])
    }

    @Test(arguments: [GroupAssignor.uniform, .range])
    func nobodyOrNothing(assignor: GroupAssignor) {
        #expect(Problem(topics: topics([2]), members: []).solved(by: assignor) == [])
        #expect(Problem(topics: [], members: [member("a", [])]).solved(by: assignor) == [PartitionSet()])
        #expect(Problem(topics: topics([0]), members: [member("a", [0])]).solved(by: assignor) == [PartitionSet()])
        let mixed = Problem(
            topics: topics([0, 1]), members: [member("a", [0]), member("b", [0, 1]), member("c", [])])
        #expect(mixed.solved(by: assignor) == [PartitionSet(), set([1: [0]]), PartitionSet()])
    }

    @Test(arguments: 0..<40) func homogeneousGroupsComeAndGo(seed: UInt64) {
        var random = GroupRandom(seed: seed)
        let topicCount = Int.random(in: 1...6, using: &random)
        var problem = Problem(
            topics: topics((0..<topicCount).map { _ in Int.random(in: 0...20, using: &random) }), members: [])
        var previous: [String: PartitionSet] = [:]
        for _ in 0..<25 {
            let id = "m\(Int.random(in: 0..<12, using: &random))"
            let joins = !problem.members.contains { $0.id == id }
            problem.members.removeAll { $0.id == id }
            if joins { problem.members.append(member(id, Array(0..<topicCount))) }
            problem.members.sort { $0.id < $1.id }
            for place in problem.members.indices {
                problem.members[place].previous = previous[problem.members[place].id] ?? PartitionSet()
            }
            let answer = problem.solved(by: .uniform)
            check(problem, answer)
            check(problem, problem.solved(by: .range))
            guard let most = answer.map(\.count).max(), let least = answer.map(\.count).min() else { continue }
            #expect(most - least <= 1)
            checkMovement(problem, answer, joined: joins ? id : nil)
            previous = Dictionary(uniqueKeysWithValues: zip(problem.members.map(\.id), answer))
        }
    }

    /// Who joins gets its share, who leaves leaves its own: nothing else moves.
    private func checkMovement(_ problem: Problem, _ answer: [PartitionSet], joined: String?) {
        for (member, now) in zip(problem.members, answer) where member.id != joined {
            if joined == nil {
                #expect(member.previous.isSubset(of: now))
            } else {
                #expect(now.isSubset(of: member.previous) || member.previous.isEmpty)
            }
        }
    }

    @Test(arguments: 0..<40) func heterogeneousGroupsComeAndGo(seed: UInt64) {
        var random = GroupRandom(seed: seed)
        let topicCount = Int.random(in: 2...6, using: &random)
        var problem = Problem(
            topics: topics((0..<topicCount).map { _ in Int.random(in: 0...20, using: &random) }), members: [])
        var previous: [String: PartitionSet] = [:]
        for _ in 0..<25 {
            let id = "m\(Int.random(in: 0..<12, using: &random))"
            let joins = !problem.members.contains { $0.id == id }
            problem.members.removeAll { $0.id == id }
            if joins {
                let mine = (0..<topicCount).filter { _ in Bool.random(using: &random) }
                problem.members.append(member(id, mine))
            }
            problem.members.sort { $0.id < $1.id }
            for place in problem.members.indices {
                problem.members[place].previous = previous[problem.members[place].id] ?? PartitionSet()
            }
            let answer = problem.solved(by: .uniform)
            check(problem, answer)
            check(problem, problem.solved(by: .range))
            checkBalance(problem, answer)
            previous = Dictionary(uniqueKeysWithValues: zip(problem.members.map(\.id), answer))
            for place in problem.members.indices { problem.members[place].previous = answer[place] }
            #expect(problem.solved(by: .uniform) == answer, "an answer is its own answer")
        }
    }

    /// No partition could go to a subscriber with two fewer.
    private func checkBalance(_ problem: Problem, _ answer: [PartitionSet]) {
        for (holder, held) in zip(problem.members, answer) {
            for topic in held.topics {
                for (other, theirs) in zip(problem.members, answer) where other.id != holder.id {
                    guard other.topics.contains(where: { problem.topics[$0].id == topic.topicID }) else { continue }
                    #expect(held.count - theirs.count < 2)
                }
            }
        }
    }

    @Test func aThousandMembersAndTenThousandPartitions() {
        var problem = Problem(topics: topics(Array(repeating: 100, count: 100)), members: [])
        problem.members = (0..<1_000).map { member("m\(10_000 + $0)", Array(0..<100)) }
        check(problem, problem.solved(by: .uniform))
        for place in problem.members.indices { problem.members[place].topics.remove(at: place % 100) }
        let answer = problem.solved(by: .uniform)
        check(problem, answer)
        #expect(answer.allSatisfy { (9...11).contains($0.count) })
    }
}
