// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import KafkaWire
import Testing

@testable import godwit

struct GroupCommandTests {
    private let place = TopicPartition(topic: "events", partition: 0)

    @Test(arguments: [
        ("1970-01-01", 0), ("1970-01-01T00:00:01Z", 1000), ("2026-11-21T13:20:41Z", 1_795_267_241_000),
        ("2026-11-21T13:20:41.5Z", 1_795_267_241_500), ("2026-11-21 15:20:41+02:00", 1_795_267_241_000),
        ("2000-02-29", 951_782_400_000), ("2024-12-31T23:59", 1_735_689_540_000), ("1735689540000", 1_735_689_540_000),
        ("2026-11-21T11:20:41-02", 1_795_267_241_000),
    ])
    func timesAreRead(text: String, milliseconds: Int64) {
        #expect(Instant(argument: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "yesterday", "2026-13-01", "2026-02-29", "2026-1-1", "2026-11-21T25:00", "2026-11-21T13", "-5",
        "2026-11-21T13:20:41.Z", "2026-11-21T13:20Q", "1969-12-31", "2026-11-21T13:20:60", "0000-00-00",
        "2026-11-21T13:20+25:00", "2026-11-21T13:20:41.1234567890",
    ])
    func whatIsNoTimeIsRefused(text: String) {
        #expect(Instant(argument: text) == nil)
    }

    @Test func partitionsAreChosen() {
        #expect(PartitionChoice(argument: "events")?.partitions == nil)
        #expect(PartitionChoice(argument: "events:0")?.partitions == [0])
        #expect(PartitionChoice(argument: "events:7,0-2,1")?.partitions == [0, 1, 2, 7])
        let choice = PartitionChoice(argument: "events:0")
        #expect(choice?.covers(place) == true)
        #expect(choice?.covers(TopicPartition(topic: "events", partition: 1)) == false)
        #expect(choice?.covers(TopicPartition(topic: "others", partition: 0)) == false)
    }

    @Test(arguments: [
        "", ":1", "events:", "events:x", "events:3-1", "events:1-", "events:-1", "events:1-2-3", "e:0-999999999",
    ])
    func whatNamesNoPartitionsIsRefused(text: String) {
        #expect(PartitionChoice(argument: text) == nil)
    }

    @Test func partitionsAreShortened() {
        let places = [3, 0, 1, 7, 2].map { TopicPartition(topic: "events", partition: $0) }
        #expect(shortened(places + [TopicPartition(topic: "a", partition: 5)]) == "a:5 events:0-3,7")
        #expect(shortened([]) == "nothing")
    }

    private func step(_ goal: SeekGoal, _ committed: Int64? = 50, atTime: Int64? = nil) throws -> SeekStep {
        try SeekStep(place, goal, committed: committed, ends: 10...100, atTime: atTime)
    }

    @Test func aSeekStaysWithinWhatThePartitionHolds() throws {
        #expect(try step(.earliest).to == 10)
        #expect(try step(.latest).to == 100)
        #expect(try step(.offset(42)).to == 42)
        #expect(try step(.offset(5)).to == 10)
        #expect(try step(.offset(5)).isClipped)
        #expect(try step(.offset(500)).to == 100)
        #expect(try step(.time(7), atTime: 33).to == 33)
        #expect(try step(.time(7)).to == 100)
        #expect(try step(.shift(-20)).to == 30)
        #expect(try step(.shift(20)).to == 70)
        #expect(try step(.shift(.min)).to == 10)
        #expect(try step(.shift(.max)).to == 100)
        #expect(!(try step(.shift(20)).isClipped))
    }

    @Test func nothingCanBeShiftedFromNowhere() {
        #expect(throws: ClientError.self) { try step(.shift(1), nil) }
        #expect(throws: Never.self) { try step(.offset(20), nil) }
    }

    @Test func aDurationGoesBackFromNow() {
        #expect(SeekGoal.ago(1000).time(now: 5000) == 4000)
        #expect(SeekGoal.ago(9000).time(now: 5000) == 0)
        #expect(SeekGoal.earliest.time(now: 5000) == nil)
    }

    private func seek(_ arguments: String...) throws -> GroupSeek? {
        try GroupSeek.parse(arguments)
    }

    @Test func exactlyOneGoalAndOneChoiceOfTopics() throws {
        #expect(try seek("g", "--topic", "events", "--shift-by", "-5")?.goal.chosen() == .shift(-5))
        #expect(try seek("g", "--all-topics", "--by-duration", "2h")?.goal.chosen() == .ago(7_200_000))
        #expect(throws: (any Error).self) { try seek("g", "--all-topics") }
        #expect(throws: (any Error).self) { try seek("g", "--to-earliest") }
        #expect(throws: (any Error).self) { try seek("g", "--all-topics", "--topic", "events", "--to-earliest") }
        #expect(throws: (any Error).self) { try seek("g", "--all-topics", "--to-earliest", "--to-latest") }
        #expect(throws: (any Error).self) { try seek("g", "--all-topics", "--to-offset", "-1") }
        #expect(try seek("g", "--all-topics", "--to-earliest")?.execute == false)
    }

    @Test func resettingIsSeeking() throws {
        let command = try Godwit.parseAsRoot(["group", "reset", "g", "--all-topics", "--to-latest"])
        #expect(command is GroupSeek)
    }

    @Test func lagIsNeverBelowZero() {
        #expect(LagRow(place: place, committed: 5, end: 12, reader: nil).lag == 7)
        #expect(LagRow(place: place, committed: 15, end: 12, reader: nil).lag == 0)
        #expect(LagRow(place: place, committed: nil, end: 12, reader: nil).lag == nil)
    }

    @Test func aWaitIsToldInSentences() {
        var found = GroupExplanation()
        (found.groupID, found.state) = ("billing", "Stable")
        #expect(GroupWhy.sentences(found) == "Group billing is Stable. Nothing holds it up.")
        var wait = GroupWait()
        (wait.memberID, wait.clientID, wait.clientHost) = ("m-1", "app", "/10.0.0.1")
        (wait.reason, wait.sinceMilliseconds) = ("It has not joined again.", 4200)
        (wait.next, wait.dueMilliseconds) = ("It is taken out of the group.", 295_800)
        (found.state, found.waits) = ("PreparingRebalance", [wait])
        #expect(
            GroupWhy.sentences(found) == """
                Group billing is PreparingRebalance. It waits:

                  m-1  client app  host /10.0.0.1
                    why    It has not joined again.
                    since  4.2 s
                    next   It is taken out of the group. (in 4 min 55 s at the latest)
                """)
    }

    @Test func aTopicsSettingsAreChangedByName() throws {
        let command = try TopicAlter.parse(["events", "--set", "a=1=2", "--set", "b=", "--unset", "c"])
        #expect(try command.changes() == [.set("a", "1=2"), .set("b", ""), .unset("c")])
        #expect(throws: (any Error).self) { try TopicAlter.parse(["events"]) }
        #expect(throws: (any Error).self) { try TopicAlter.parse(["events", "--set", "a"]) }
        #expect(throws: (any Error).self) { try TopicAlter.parse(["events", "--set", "a=1", "--unset", "a"]) }
    }

    @Test func aTrimHasOneGoal() {
        #expect(throws: (any Error).self) { try TopicTrim.parse(["events"]) }
        #expect(throws: (any Error).self) {
            try TopicTrim.parse(["events", "--before-offset", "5", "--before-time", "2026-01-01"])
        }
        #expect(throws: Never.self) { try TopicTrim.parse(["events", "--before-offset", "5"]) }
    }

    @Test func aGroupChoosesItsPartitionsItself() {
        #expect(throws: Never.self) { try ConsumeCommand.parse(["events", "--group", "g", "--from", "beginning"]) }
        #expect(throws: (any Error).self) { try ConsumeCommand.parse(["events", "--group", "g", "--partition", "1"]) }
        #expect(throws: (any Error).self) {
            try ConsumeCommand.parse(["events", "--group", "g", "--from", "offset:3"])
        }
    }
}
