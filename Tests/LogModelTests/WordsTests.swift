// SPDX-License-Identifier: Apache-2.0

import LogModel
import Testing

@Suite struct NumberTests {
    @Test func aPositionIsOrderedByTermFirst() {
        func position(_ term: Int32, _ end: Int64) -> LogPosition { LogPosition(term: Term(term), end: LogIndex(end)) }
        let ascending = [
            LogPosition.empty, position(0, 9), position(1, 0), position(1, 8), position(2, 3), position(2, 4),
        ]
        for (low, left) in ascending.enumerated() {
            for (high, right) in ascending.enumerated() {
                #expect((left < right) == (low < high), "\(left) and \(right)")
            }
        }
    }

    @Test func offsetsAndCountsAddUp() {
        let origin = Offset(40)
        let end = origin + RecordCount(2)
        #expect(end == Offset(42) && end - origin == RecordCount(2) && origin - origin == .zero)
        #expect(RecordCount(1) + RecordCount(2) == RecordCount(3))
        #expect(origin < end && !(end < origin) && RecordCount(1) < RecordCount(2))
    }

    @Test func slotsAreCountedForwards() {
        let origin = LogIndex(40)
        let end = origin.advanced(by: 3)
        #expect(end == LogIndex(43) && end.slots(since: origin) == 3 && end.slots(since: end) == 0)
    }

    @Test func aTermIsFollowedByTheNext() {
        #expect(Term.zero.next == Term(1) && Term(1) < Term(1).next)
    }

    @Test func sizesAddUp() {
        var size = ByteCount.kibibytes(1)
        size += ByteCount(24)
        #expect(size == ByteCount(1_048) && size - ByteCount(48) == ByteCount(1_000))
        #expect(ByteCount.mebibytes(1) == ByteCount(1 << 20) && ByteCount.gibibytes(2) == ByteCount(1 << 31))
        #expect(ByteCount.zero < ByteCount(1) && ByteCount(1) + ByteCount(2) == ByteCount(3))
    }

    @Test func aMomentAheadIsNoTimeAgo() {
        let now = Moment(nanoseconds: 1_000)
        let later = now.advanced(byNanoseconds: 500)
        #expect(later.nanoseconds(since: now) == 500)
        #expect(now.nanoseconds(since: later) == 0 && now.nanoseconds(since: now) == 0)
        #expect(now < later && Timestamp(milliseconds: -1) < Timestamp(milliseconds: 0))
    }

    @Test func negativeNumbersStopTheProcess() async {
        await #expect(processExitsWith: .failure) { _ = Offset(-1) }
        await #expect(processExitsWith: .failure) { _ = LogIndex(-1) }
        await #expect(processExitsWith: .failure) { _ = Term(-1) }
        await #expect(processExitsWith: .failure) { _ = Offset(1) - Offset(2) }
        await #expect(processExitsWith: .failure) { _ = LogIndex(1).slots(since: LogIndex(2)) }
    }

    @Test func recordsAreTheOnlyKindThatIsServed() {
        #expect(!EntryKind.records.isMarker)
        for raw in UInt8(1)...UInt8.max { #expect(EntryKind(rawValue: raw).isMarker) }
        #expect(EntryKind.membership.description == "membership" && EntryKind(rawValue: 9).description == "kind9")
    }

    @Test func nothingIsForgottenInWords() {
        #expect(HardState().description == "term 0 vote nobody")
        #expect(HardState(term: Term(3), vote: NodeID(2)).description == "term 3 vote n2")
        #expect(LogAnchor.origin.description == "0@0 offset 0")
        #expect(PartitionID.metadata.description == "metadata")
        #expect(PartitionID(topic: TopicID(high: 0, low: 255), index: 3).description.hasSuffix("00ff-3"))
    }
}

@Suite struct IdentityTests {
    @Test(arguments: [
        TopicID.zero, .metadata, TopicID(high: .max, low: .max),
        TopicID(high: 0x0123_4567_89ab_cdef, low: 0x0000_0000_0000_000f), TopicID(high: 1, low: 0),
    ])
    func aTopicIDIsReadFromWhatItPrints(id: TopicID) {
        #expect(id.description.utf8.count == 32)
        #expect(TopicID(hex: id.description) == id)
    }

    @Test(arguments: [
        "", "0", String(repeating: "0", count: 31), String(repeating: "0", count: 33),
        "+" + String(repeating: "0", count: 31), String(repeating: "0", count: 16) + "-" + "000000000000000",
        String(repeating: "0", count: 31) + "g", String(repeating: "０", count: 32), String(repeating: "ß", count: 16),
        "../../../../../../../../../../ab",
    ])
    func whatIsNoTopicIDIsRefused(text: String) {
        #expect(TopicID(hex: text) == nil)
    }

    @Test func idsAreOrderedAsTheyPrint() {
        let ids = [
            TopicID.zero, TopicID(high: 0, low: .max), TopicID(high: 1, low: 0), TopicID(high: .max, low: 3),
        ]
        #expect(ids.shuffled().sorted() == ids)
        #expect(ids.map(\.description).sorted() == ids.map(\.description))
        let partitions = [
            PartitionID(topic: .zero, index: 0), PartitionID(topic: .zero, index: 10), .metadata,
            PartitionID(topic: ids[2], index: 0),
        ]
        #expect(partitions.shuffled().sorted() == partitions)
    }
}

@Suite struct TopicNameTests {
    @Test(arguments: ["a", "A-Z_0.9", "...", "_", "-", String(repeating: "x", count: 249)])
    func aLegalNameIsTaken(text: String) throws {
        #expect(try TopicName(text).rawValue == text)
    }

    @Test(
        arguments: [
            ("", TopicName.Flaw.empty), (".", .dots), ("..", .dots),
            (String(repeating: "x", count: 250), .tooLong(count: 250)), ("a/b", .illegalCharacter),
            ("a b", .illegalCharacter), ("ä", .illegalCharacter), ("a\0", .illegalCharacter),
            ("a\n", .illegalCharacter),
            ("a:b", .illegalCharacter), ("a\\b", .illegalCharacter), ("ａ", .illegalCharacter),
        ] as [(String, TopicName.Flaw)])
    func anIllegalNameIsRefusedWithItsFlaw(text: String, flaw: TopicName.Flaw) {
        #expect(throws: flaw) { try TopicName(text) }
        #expect(!flaw.description.isEmpty)
    }

    @Test func everyByteIsEitherLegalOrNot() {
        let legal = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-".unicodeScalars)
        for byte in UInt8(0)..<128 {
            let scalar = UnicodeScalar(byte)
            #expect(((try? TopicName("x\(Character(scalar))")) != nil) == legal.contains(scalar), "\(byte)")
        }
    }

    @Test func namesThatDifferInDotsAndUnderscoresCollide() throws {
        #expect(try TopicName("a.b_c").collisionKey == TopicName("a_b.c").collisionKey)
        #expect(try TopicName("a.b").collisionKey != TopicName("a-b").collisionKey)
    }
}
