// SPDX-License-Identifier: Apache-2.0
import Histories
import Testing

@Suite struct HistoryReaderTests {
    private func event(
        _ at: Int64, _ op: Int, _ phase: HistoryEvent.Phase, _ action: HistoryEvent.Action? = nil,
        _ change: (inout HistoryEvent) -> Void = { _ in }
    ) -> HistoryEvent {
        var event = HistoryEvent(at: at, client: "p", op: op, phase: phase, action: action)
        change(&event)
        return event
    }

    private func send(_ at: Int64, _ op: Int, value: Int64) -> HistoryEvent {
        event(at, op, .invoke, .send) {
            $0.log = "t-0"
            $0.value = value
        }
    }

    @Test func beginningsAndEndsAreMatched() throws {
        var reader = HistoryReader()
        try reader.take(send(1, 1, value: 7))
        try reader.take(send(2, 2, value: 8))
        try reader.take(event(5, 2, .fail) { $0.error = "MSG_SIZE_TOO_LARGE" })
        try reader.take(event(6, 1, .ok) { $0.offset = 3 })
        try reader.take(send(7, 3, value: 9))
        let operations = try reader.operations()
        #expect(operations.map(\.began) == [1, 2, 7])
        #expect(operations.map(\.ended) == [6, 5, .max])
        #expect(operations.map(\.outcome) == [.ok, .failed, .unknown])
        #expect(operations[0].act == .send([SentRecord(log: "t-0", value: 7, offset: 3)]))
        #expect(operations[1].error == "MSG_SIZE_TOO_LARGE")
    }

    @Test func aPollNeedsOneLine() throws {
        var reader = HistoryReader()
        try reader.take(
            event(9, 1, .ok, .poll) {
                $0.began = 4
                $0.read = [HistoryEvent.Read(log: "t-0", records: [5, 70, 6, 71], end: 8)]
            })
        let operation = try #require(try reader.operations().first)
        let records = [ReadRecord(offset: 5, value: 70), ReadRecord(offset: 6, value: 71)]
        #expect(operation.began == 4)
        #expect(operation.act == .poll([ReadRange(log: "t-0", records: records, end: 8)]))
    }

    @Test func traitsAreReadAndOtherwiseStrict() throws {
        var reader = HistoryReader()
        try reader.take(event(1, 1, .ok, .open))
        try reader.take(
            event(2, 2, .ok, .open) {
                $0.acks = .leader
                $0.idempotent = false
            })
        let acts = try reader.operations().map(\.act)
        #expect(acts[0] == .open(ClientTraits()))
        #expect(acts[1] == .open(ClientTraits(acks: .leader, isIdempotent: false, keepsOrder: false)))
    }

    @Test func nonsenseIsRefusedByName() {
        var reader = HistoryReader()
        #expect(throws: HistoryError.endWithoutBeginning(client: "p", op: 1)) { try reader.take(event(1, 1, .ok)) }
        #expect(throws: HistoryError.beganTwice(client: "p", op: 2)) {
            try reader.take(send(1, 2, value: 1))
            try reader.take(send(2, 2, value: 2))
        }
        #expect(throws: HistoryError.endsBeforeItBegins(client: "p", op: 3)) {
            try reader.take(send(5, 3, value: 3))
            try reader.take(event(4, 3, .ok))
        }
        #expect(throws: HistoryError.missingField("value", client: "p", op: 4)) {
            try reader.take(event(6, 4, .invoke, .send) { $0.log = "t-0" })
            try reader.take(event(7, 4, .ok))
        }
        #expect(throws: HistoryError.oddRecords(client: "p", op: 5)) {
            try reader.take(
                event(8, 5, .ok, .poll) { $0.read = [HistoryEvent.Read(log: "t-0", records: [1], end: nil)] })
        }
    }
}
