// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import LogModel

struct GroupSeek: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seek",
        abstract: "Set where a group goes on.",
        discussion: """
            Shows the plan; --execute does it. The group must have no active members then. Offsets beyond a
            partition's ends become its ends.

            Examples:
              godwit group seek billing --topic orders --to-earliest
              godwit group seek billing --topic orders:0,3-5 --to-offset 1200 --execute
              godwit group reset billing --all-topics --to-datetime 2026-11-21T13:00:00Z --execute
              godwit group seek billing --all-topics --by-duration 2h
              godwit group seek billing --topic orders --shift-by -100
            """,
        aliases: ["reset"])

    @Argument(help: "The group's name.")
    var group: String

    @Option(
        help: ArgumentHelp(
            "A topic, or some of its partitions; may be given several times.", valueName: "topic[:partitions]"))
    var topic: [PartitionChoice] = []

    @Flag(help: "All partitions that the group has an offset for.")
    var allTopics = false

    @OptionGroup var goal: SeekOptions

    @Flag(help: "Do it.")
    var execute = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        _ = try goal.chosen()
        if topic.isEmpty == !allTopics { throw ValidationError("say --topic or --all-topics, one of them") }
        for choice in topic { try validateTopic(choice.topic) }
    }

    func run() async throws {
        let goal = try goal.chosen()
        try await connection.withClient { client in
            let members = try await membersIfKnown(client, group)
            try refuseIfActive(group, members, execute: execute)
            let committed = try await client.admin.fetchOffsets(group)
            let places = try await chosenPlaces(client, committed)
            let plan = try await plan(client, goal, places, committed)
            if execute {
                try await client.admin.commitOffsets(
                    group, Dictionary(uniqueKeysWithValues: plan.map { ($0.place, CommittedOffset(offset: $0.to)) }))
            }
            show(plan)
        }
    }

    private func chosenPlaces(
        _ client: KafkaClient, _ committed: [TopicPartition: CommittedOffset]
    ) async throws -> [TopicPartition] {
        var places: Set<TopicPartition> = []
        if allTopics {
            places = Set(committed.keys)
            guard !places.isEmpty else {
                throw ClientError.invalid("group '\(group)' has no offsets yet; name topics with --topic")
            }
        }
        for choice in topic {
            guard let found = try await client.admin.describeTopics([choice.topic]).first else { continue }
            let known = Set(found.partitions.map(\.index))
            for index in choice.partitions ?? known.sorted() {
                guard known.contains(index) else {
                    throw ClientError.invalid("topic '\(choice.topic)' has no partition \(index)")
                }
                places.insert(TopicPartition(topic: choice.topic, partition: index))
            }
        }
        return places.sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
    }

    private func plan(
        _ client: KafkaClient, _ goal: SeekGoal, _ places: [TopicPartition],
        _ committed: [TopicPartition: CommittedOffset]
    ) async throws -> [SeekStep] {
        let earliest = try await client.admin.offsets(places, .earliest)
        let latest = try await client.admin.offsets(places, .latest)
        var byTime: [TopicPartition: Int64] = [:]
        if let time = goal.time(now: wallMilliseconds()) {
            byTime = try await client.admin.offsets(places, .timestamp(time))
        }
        return try places.map { place in
            guard let low = earliest[place], let high = latest[place] else {
                throw ClientError.timedOut("the question for the ends of \(place)")
            }
            return try SeekStep(
                place, goal, committed: committed[place]?.offset, ends: low...max(low, high), atTime: byTime[place])
        }
    }

    private func show(_ plan: [SeekStep]) {
        if connection.json {
            return Terminal.print(
                JSON.object([
                    ("group", .string(group)), ("executed", .bool(execute)),
                    ("partitions", .array(plan.map(\.json))),
                ]).pretty)
        }
        var table = Table(
            ("TOPIC", .left), ("PARTITION", .right), ("COMMITTED", .right), (execute ? "NOW" : "WOULD BE", .right),
            ("LEFT TO READ", .right), ("", .left))
        for step in plan {
            table.add(
                step.place.topic, "\(step.place.partition)", step.from.map { "\($0)" } ?? "-", "\(step.to)",
                "\(step.ends.upperBound - step.to)", step.isClipped ? "(nearest that is held)" : "")
        }
        Terminal.print(table.text)
        if execute {
            Terminal.print("Set \(plan.count) offset\(plan.count == 1 ? "" : "s") of group \(group).")
        } else {
            Terminal.note("Nothing has been changed. --execute does it.")
        }
    }
}

/// Where to go; exactly one.
struct SeekOptions: ParsableArguments {
    @Flag(help: "The first records that are still held.")
    var toEarliest = false

    @Flag(help: "After the last records.")
    var toLatest = false

    @Option(help: ArgumentHelp("This offset.", valueName: "offset"))
    var toOffset: Int64?

    @Option(help: ArgumentHelp("The first records of this time or later (UTC without a zone).", valueName: "time"))
    var toDatetime: Instant?

    @Option(help: ArgumentHelp("The first records of so long ago or later, as 90m or 7d.", valueName: "time"))
    var byDuration: Span?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("So many records on from where the group is; back with a minus.", valueName: "records"))
    var shiftBy: Int64?

    func chosen() throws -> SeekGoal {
        var goals: [SeekGoal] = []
        if toEarliest { goals.append(.earliest) }
        if toLatest { goals.append(.latest) }
        if let toOffset {
            guard toOffset >= 0 else { throw ValidationError("--to-offset counts from 0") }
            goals.append(.offset(toOffset))
        }
        if let toDatetime { goals.append(.time(toDatetime.milliseconds)) }
        if let byDuration { goals.append(.ago(byDuration.nanoseconds / 1_000_000)) }
        if let shiftBy { goals.append(.shift(shiftBy)) }
        guard goals.count == 1, let goal = goals.first else {
            throw ValidationError(
                "say where to: one of --to-earliest, --to-latest, --to-offset, --to-datetime, --by-duration, --shift-by"
            )
        }
        return goal
    }
}

/// Where a group is to go on.
enum SeekGoal: Equatable {
    case earliest, latest
    case offset(Int64)
    /// In milliseconds since 1970.
    case time(Int64)
    /// So many milliseconds ago.
    case ago(Int64)
    case shift(Int64)

    func time(now: Int64) -> Int64? {
        switch self {
        case .time(let time): time
        case .ago(let span): max(0, now - span)
        case .earliest, .latest, .offset, .shift: nil
        }
    }
}

/// What a seek does to one partition.
struct SeekStep: Equatable {
    let place: TopicPartition
    let from: Int64?
    let to: Int64
    let ends: ClosedRange<Int64>
    /// Whether the goal lay beyond what the partition holds.
    let isClipped: Bool

    /// - Throws: `ClientError.invalid` for a shift from where nothing is committed.
    init(
        _ place: TopicPartition, _ goal: SeekGoal, committed: Int64?, ends: ClosedRange<Int64>, atTime: Int64?
    ) throws(ClientError) {
        let wanted: Int64
        switch goal {
        case .earliest: wanted = ends.lowerBound
        case .latest: wanted = ends.upperBound
        case .offset(let offset): wanted = offset
        case .time, .ago: wanted = atTime ?? ends.upperBound
        case .shift(let distance):
            guard let committed else {
                throw .invalid(
                    "\(place) has no offset to shift; set one with --to-earliest, --to-latest or --to-offset")
            }
            let (sum, isTooFar) = committed.addingReportingOverflow(distance)
            wanted = isTooFar ? (distance < 0 ? ends.lowerBound : ends.upperBound) : sum
        }
        self.place = place
        self.ends = ends
        from = committed
        to = min(max(wanted, ends.lowerBound), ends.upperBound)
        isClipped = to != wanted
    }

    var json: JSON {
        .object([
            ("topic", .string(place.topic)), ("partition", .int(place.partition)), ("from", .optional(from)),
            ("to", .integer(to)), ("earliest", .integer(ends.lowerBound)), ("latest", .integer(ends.upperBound)),
            ("clipped", .bool(isClipped)),
        ])
    }
}
