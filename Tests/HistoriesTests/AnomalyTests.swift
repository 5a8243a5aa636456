// SPDX-License-Identifier: Apache-2.0
import Histories
import Testing

/// A history planted with each anomaly: it is found, and nothing else is.
@Suite struct AnomalyTests {
    @Test func aSoundHistoryIsSound() {
        var script = Script.sound()
        script.send("p", 103, at: nil, lasting: nil)
        script.fail("p", 104)
        script.poll("c", [(0, 100), (1, 101)], end: 3)
        script.poll("c", [(2, 102)])
        script.step("c", .assign(logs: [Script.log]))
        script.poll("c", [(1, 101), (2, 102)])
        script.step("c", .listEnd(log: Script.log, offset: 3))
        script.step("c", .commit(group: "g", log: Script.log, offset: 3))
        script.step("c", .fetchOffset(group: "g", log: Script.log, offset: 3))
        script.scan(100, 101, 102, 103)
        let verdict = script.verdict()
        #expect(verdict.kinds.isEmpty, "\(verdict.examples)")
        #expect(verdict.figures.acknowledged == 3)
        #expect(verdict.figures.unknownSendsFound == 1)
        #expect(verdict.figures.failedSends == 1)
        #expect(verdict.figures.recordsRead == 9)
        #expect(verdict.figures.offsetsRead == 4)
    }

    /// What was done to a sound history, and what must be said of it.
    struct Plant: Sendable, CustomTestStringConvertible {
        let name: String
        let kinds: [Anomaly]
        let play: @Sendable (inout Script) -> Void
        var testDescription: String { name }

        init(_ name: String, _ kinds: [Anomaly], _ play: @escaping @Sendable (inout Script) -> Void) {
            self.name = name
            self.kinds = kinds
            self.play = play
        }
    }

    static let records: [Plant] = [
        Plant("two consumers read different values at one offset", [.inconsistentOffsets]) {
            $0.send("q", 200, at: nil)
            $0.poll("c", [(3, 200)])
            $0.send("q", 201, at: nil)
            $0.scan(100, 101, 102, 201)
        },
        Plant("an acknowledgement names an offset that holds another record", [.inconsistentOffsets]) {
            $0.send("q", 200, at: nil)
            $0.send("p", 103, at: 3)
            $0.scan(100, 101, 102, 200)
        },
        Plant("a value is stored twice", [.duplicate]) {
            $0.send("p", 103, at: nil)
            $0.scan(100, 101, 102, 103, 103)
        },
        Plant("a value is acknowledged at one offset and read at another one, too", [.duplicate]) {
            $0.send("p", 103, at: 3)
            $0.scan(100, 101, 102, 103, 103)
        },
        Plant("an acknowledged record is passed over by every reader", [.lostWrite, .gap]) {
            $0.send("p", 103, at: 3)
            $0.send("p", 104, at: 4)
            $0.poll("scan", [(0, 100), (1, 101), (2, 102)])
            $0.step("scan", .assign(logs: nil))
            $0.poll("scan", [(4, 104)])
        },
        Plant("the end of a log is lost", [.unseen]) {
            $0.send("p", 103, at: 3)
            $0.scan(100, 101, 102)
        },
        Plant("a refused record is read", [.abortedRead]) {
            $0.fail("p", 103)
            $0.scan(100, 101, 102, 103)
        },
        Plant("a record is read that nobody sent", [.foreign]) { $0.scan(100, 101, 102, 777) },
        Plant("bytes are read that nobody writes", [.foreign]) { $0.scan(100, 101, 102, -1) },
        Plant("a record of another log is read", [.foreign]) {
            $0.step("p", .send([SentRecord(log: "t-1", value: 300)]), .unknown)
            $0.scan(100, 101, 102, 300)
        },
        Plant("a log has a hole", [.gap]) {
            $0.send("q", 104, at: nil)
            $0.poll("scan", [(0, 100), (1, 101), (2, 102), (4, 104)])
        },
        Plant("a record that was read is gone", [.vanished]) {
            $0.send("q", 103, at: nil)
            $0.poll("c", [(2, 102), (3, 103)])
            $0.scan(100, 101, 102)
        },
    ]

    static let orders: [Plant] = [
        Plant("a poll passes over a record", [.pollSkip]) {
            $0.poll("c", [(0, 100)])
            $0.poll("c", [(2, 102)])
            $0.scan(100, 101, 102)
        },
        Plant("inside a poll a record is missing", [.internalPollSkip]) {
            $0.poll("c", [(0, 100), (2, 102)])
            $0.scan(100, 101, 102)
        },
        Plant("a poll gives what the poll before gave", [.nonmonotonicPoll]) {
            $0.poll("c", [(0, 100), (1, 101)])
            $0.poll("c", [(1, 101), (2, 102)])
            $0.scan(100, 101, 102)
        },
        Plant("inside a poll a record comes again", [.internalNonmonotonicPoll]) {
            $0.poll("c", [(0, 100), (1, 101), (1, 101), (2, 102)])
            $0.scan(100, 101, 102)
        },
        Plant("a producer's later record lands before its earlier one", [.nonmonotonicSend]) {
            // Both were under way together, so only the producer's own order is broken.
            $0.send("q", 200, at: 4, lasting: 50)
            $0.send("q", 201, at: 3)
            $0.scan(100, 101, 102, 201, 200)
        },
        Plant("records sent together change places", [.internalNonmonotonicSend]) {
            let sent = [(200, 4), (201, 3)].map { SentRecord(log: Script.log, value: $0.0, offset: $0.1) }
            $0.step("q", .send(sent))
            $0.scan(100, 101, 102, 201, 200)
        },
        Plant("a record lands below what was acknowledged before it was sent", [.offsetTooLow]) {
            $0.send("q", 104, at: 4)
            $0.send("r", 103, at: 3)
            $0.scan(100, 101, 102, 103, 104)
        },
        Plant("so does one whose sender never knew", [.offsetTooLow]) {
            $0.send("q", 104, at: 4)
            $0.send("r", 103, at: nil, lasting: nil)
            $0.scan(100, 101, 102, 103, 104)
        },
    ]

    static let views: [Plant] = [
        Plant("ListOffsets does not know of an acknowledged record", [.staleRead]) {
            $0.step("c", .listEnd(log: Script.log, offset: 2))
            $0.scan(100, 101, 102)
        },
        Plant("a fetch does not know of it either", [.staleRead]) {
            $0.poll("c", [], end: 2)
            $0.scan(100, 101, 102)
        },
        Plant("an end goes back between two who ask", [.staleRead]) {
            $0.step("c", .listEnd(log: Script.log, offset: 5))
            $0.step("d", .listEnd(log: Script.log, offset: 4))
            $0.scan(100, 101, 102)
        },
        Plant("an end is claimed behind which somebody has read", [.staleRead]) {
            $0.send("q", 103, at: nil)
            $0.poll("c", [(3, 103)])
            $0.step("d", .listEnd(log: Script.log, offset: 3))
            $0.scan(100, 101, 102, 103)
        },
        Plant("a log's start goes back", [.startGoesBack]) {
            $0.step("c", .listStart(log: Script.log, offset: 1))
            $0.step("d", .listStart(log: Script.log, offset: 0))
            $0.scan(100, 101, 102)
        },
        Plant("a group's offset goes back", [.groupOffsetBack]) {
            for offset in Int64(1)...2 { $0.step("c", .commit(group: "g", log: Script.log, offset: offset)) }
            $0.step("d", .fetchOffset(group: "g", log: Script.log, offset: 1))
            $0.scan(100, 101, 102)
        },
        Plant("a group's offset is forgotten", [.groupOffsetBack]) {
            $0.step("c", .commit(group: "g", log: Script.log, offset: 1))
            $0.step("d", .fetchOffset(group: "g", log: Script.log, offset: nil))
            $0.scan(100, 101, 102)
        },
        Plant("a group's offset is invented", [.groupOffsetForeign]) {
            $0.step("c", .commit(group: "g", log: Script.log, offset: 1))
            $0.step("d", .fetchOffset(group: "g", log: Script.log, offset: 3))
            $0.scan(100, 101, 102)
        },
        Plant("a member commits what is long past", [.commitBack]) {
            $0.step("c", .commit(group: "g", log: Script.log, offset: 2))
            $0.step("d", .commit(group: "g", log: Script.log, offset: 1))
            $0.scan(100, 101, 102)
        },
    ]

    @Test(arguments: records + orders + views)
    func aPlantedAnomalyIsFoundAndNoOther(_ plant: Plant) {
        var script = Script.sound()
        plant.play(&script)
        let verdict = script.verdict()
        #expect(verdict.kinds == Anomaly.allCases.filter(plant.kinds.contains), "\(verdict.examples)")
        #expect(!verdict.isSound)
        var tolerant = HistoryCheck()
        tolerant.tolerated = Set(plant.kinds)
        #expect(script.verdict(tolerant).isSound)
    }

    @Test func everyKindIsPlanted() {
        let planted = Set((Self.records + Self.orders + Self.views).flatMap(\.kinds))
        #expect(Anomaly.allCases.filter { !planted.contains($0) }.isEmpty)
    }
}
