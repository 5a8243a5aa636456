// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import RegularExpressions
import Settings

/// What members subscribe to, and what of it exists.
extension ConsumerGroup {
    /// Steps that resolving one expression may take; what is more would hold the coordinator up.
    static let maximumExpressionSteps = 50_000_000

    // MARK: Regular expressions

    /// The names that an expression matches as a whole, in the order given; `nil` when it takes too many steps.
    static func matches(of expression: RegularExpression, in names: some Sequence<String>) -> [String]? {
        var matcher = RegularExpression.Matcher(expression)
        var found: [String] = []
        for name in names {
            if matcher.matchesWhole(name) { found.append(name) }
            guard matcher.steps <= maximumExpressionSteps else { return nil }
        }
        return found
    }

    /// Notes what an expression matches, if that has changed. Returns whether it has.
    mutating func resolve(
        _ pattern: String, to topics: [String], _ event: GroupEvent, into effects: inout GroupEffects
    ) -> Bool {
        guard let known = expressions[pattern], known.topics != topics || topics.isEmpty else { return false }
        expressions[pattern]?.topics = topics
        let value = ConsumerGroupRegularExpressionValue(
            topics: topics, version: 0, timestamp: event.wallClock.milliseconds)
        effects.append(.consumerGroupRegularExpression(group: id, regularExpression: pattern, value))
        return known.topics != topics
    }

    /// Forgets expressions that nobody subscribes to any more.
    mutating func dropUnusedExpressions(into effects: inout GroupEffects) {
        for pattern in expressions.filter({ $0.value.subscribers == 0 }).keys.sorted() {
            expressions[pattern] = nil
            effects.append(.consumerGroupRegularExpression(group: id, regularExpression: pattern, nil))
        }
    }

    /// The cluster's topics have changed: expressions are held against the new names alone.
    mutating func topicsChanged(
        added: [String], _ topics: TopicsImage, _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        guard !members.isEmpty else { return }
        for pattern in expressions.keys.sorted() {
            guard let expression = expressions[pattern] else { continue }
            let remaining = expression.topics.filter { topics.topic(named: $0) != nil }
            let more = expression.compiled.flatMap { Self.matches(of: $0, in: added) } ?? []
            let matched = more.isEmpty ? remaining : Set(remaining + more).sorted()
            if matched != expression.topics { _ = resolve(pattern, to: matched, event, into: &effects) }
        }
        bumpIfTopicsChanged(topics, event, into: &effects)
    }

    /// After loading: the topics may have changed while nobody was looking.
    mutating func resolveAll(_ topics: TopicsImage, _ event: GroupEvent, into effects: inout GroupEffects) {
        guard !members.isEmpty else { return }
        let names = topics.topics.map(\.name)
        for pattern in expressions.keys.sorted() {
            guard let expression = expressions[pattern] else { continue }
            let matched = expression.compiled.flatMap { Self.matches(of: $0, in: names) } ?? []
            if matched != expression.topics { _ = resolve(pattern, to: matched, event, into: &effects) }
        }
        bumpIfTopicsChanged(topics, event, into: &effects)
    }

    private mutating func bumpIfTopicsChanged(
        _ topics: TopicsImage, _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        let hash = computeMetadataHash(topics)
        if hash != metadataHash { bumpEpoch(hash: hash, event, into: &effects) }
    }

    // MARK: The group's epoch

    mutating func bumpEpoch(hash: Int64, _ event: GroupEvent, into effects: inout GroupEffects) {
        if groupEpoch == assignmentEpoch { epochSince = event.now }
        groupEpoch += 1
        metadataHash = hash
        effects.append(
            .consumerGroupMetadata(id, ConsumerGroupMetadataValue(epoch: groupEpoch, metadataHash: hash)))
    }

    /// A number that differs when the subscribed topics, their ids or their partitions do: FNV-1a, 64 bits. 0 stands
    /// for no topics.
    ///
    /// - Complexity: linear in subscribed topics, but for their sorting.
    func computeMetadataHash(_ topics: TopicsImage) -> Int64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        var isEmpty = true
        func mix(_ word: UInt64) {
            for shift in stride(from: 0, to: 64, by: 8) {
                hash = (hash ^ (word >> UInt64(shift) & 0xFF)) &* 0x100_0000_01B3
            }
        }
        for name in subscribedTopics {
            guard let topic = topics.topic(named: name) else { continue }
            isEmpty = false
            mix(topic.id.high)
            mix(topic.id.low)
            mix(UInt64(topic.partitionCount))
        }
        return isEmpty ? 0 : Int64(bitPattern: hash | 1)
    }

    // MARK: The target assignment

    /// Computes the target of the group's epoch, once, and notes what has changed.
    ///
    /// - Complexity: linear in members, their subscriptions and partitions.
    mutating func assign(_ topics: TopicsImage, _ event: GroupEvent, into effects: inout GroupEffects) {
        let problem = assignmentProblem(topics)
        let asked = preferredAssignor.flatMap { GroupAssignor(rawValue: $0) }
        let offered = event.settings.consumer.assignors
        let assignor = asked.flatMap { offered.contains($0) ? $0 : nil } ?? offered.first ?? .uniform
        let answer = problem.solved(by: assignor)
        for (member, target) in zip(problem.members, answer) where targets[member.id] != target {
            targets[member.id] = target
            effects.append(
                .consumerGroupTargetAssignmentMember(
                    group: id, member: member.id,
                    ConsumerGroupTargetAssignmentMemberValue(topicPartitions: target.topics)))
        }
        assignmentEpoch = groupEpoch
        effects.append(
            .consumerGroupTargetAssignmentMetadata(
                id, ConsumerGroupTargetAssignmentMetadataValue(assignmentEpoch: groupEpoch)))
    }

    private func assignmentProblem(_ topics: TopicsImage) -> AssignmentProblem {
        let known = subscribedTopics.compactMap { topics.topic(named: $0) }.sorted { $0.id < $1.id }
        let places = Dictionary(uniqueKeysWithValues: known.enumerated().map { ($1.name, $0) })
        // Most members of a group subscribe alike.
        var placesOf: [Subscription: [Int]] = [:]
        let sharers = sortedMembers.map { member in
            let subscription = Subscription(
                names: member.metadata.subscribedTopicNames, expression: member.expression)
            let mine =
                placesOf[subscription]
                ?? {
                    let matched = subscription.expression.flatMap { expressions[$0]?.topics } ?? []
                    return Set((subscription.names + matched).compactMap { places[$0] }).sorted()
                }()
            placesOf[subscription] = mine
            return AssignmentProblem.Member(
                id: member.id, instanceID: member.instanceID, topics: mine,
                previous: targets[member.id] ?? PartitionSet())
        }
        return AssignmentProblem(
            topics: known.map { AssignmentProblem.Topic(id: $0.id, partitionCount: $0.partitionCount) },
            members: sharers)
    }

    private struct Subscription: Hashable {
        var names: [String]
        var expression: String?
    }
}
