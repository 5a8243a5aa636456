// SPDX-License-Identifier: Apache-2.0
import GodwitClient
import LogModel
import NIOCore
import RecordBatches
import Testing

@testable import godwit

struct BenchTests {
    @Test func processTimesAreReadPastBlanksInTheCommand() {
        let stat = "12 (a b) c) S 1 12 12 0 -1 4194304 100 0 0 0 70 30 0 0 20 0 4 0 100 1000 50"
        #expect(ProcessUsage.cpuTicks(stat) == 100)
        #expect(ProcessUsage.cpuTicks(stat.replacingBlankState("Z")) == nil)
        #expect(ProcessUsage.cpuTicks("") == nil)
        #expect(ProcessUsage.cpuTicks("12 (x) S 1") == nil)
    }

    @Test func processIdsAreReadWithAndWithoutNodes() throws {
        #expect(try LocalCluster.parse("1=10,2=20") == [.init(id: 1, pid: 10), .init(id: 2, pid: 20)])
        #expect(try LocalCluster.parse("10") == [.init(id: nil, pid: 10)])
        for wrong in ["1=x", "x=1", "0", "1=1"] {
            #expect(throws: LocalCluster.Flaw.self) { try LocalCluster.parse(wrong) }
        }
        #expect(LocalCluster.replacing("{id}", by: "2", in: "a{id}b{id}") == "a2b2")
    }

    /// The numbers are those of Java's `String.hashCode`.
    @Test(arguments: [("bench-takeover-0", 31), ("my-group", 36), ("polygenelubricants", 0), ("Größe", 35), ("a", 47)])
    func aGroupsOffsetsLieWhereKafkaPutsThem(_ group: String, _ partition: Int) {
        #expect(BenchTakeover.partition(of: group, among: 50) == partition)
    }

    @Test func payloadsCompressAsFarAsTheyAreAskedTo() throws {
        func ratio(_ compressibility: Double) throws -> Double {
            var payload = Payload(compressibility: compressibility, seed: 7)
            var builder = BatchBuilder()
            for _ in 0..<200 {
                builder.append(
                    key: nil, value: ByteBuffer(bytes: payload.next(1024)), timestamp: .init(milliseconds: 0))
            }
            let plain = builder.size
            return Double(try builder.finish(codec: .lz4).readableBytes) / Double(plain)
        }
        #expect(try ratio(0) > 0.99)
        #expect((0.4...0.6).contains(try ratio(0.5)))
        #expect(try ratio(1) < 0.1)
    }

    @Test func theSameSeedGivesTheSamePayload() {
        var first = Payload(compressibility: 0.3, seed: 1)
        var second = Payload(compressibility: 0.3, seed: 1)
        var other = Payload(compressibility: 0.3, seed: 2)
        let bytes = first.next(1000)
        #expect(bytes == second.next(1000))
        #expect(bytes != other.next(1000))
        #expect(bytes != first.next(1000))
    }

    @Test func batchesOfAPoolKeepToTheirSize() throws {
        let place = TopicPartition(topic: "t", partition: 0)
        let pool = try Flood.makePool([place], recordSize: 100, batchBytes: 10_000, compressibility: 0, codec: .none)
        #expect(pool.count == 1)
        for ready in pool[0].batches {
            #expect(ready.batch.bytes.readableBytes <= 10_000)
            #expect(ready.bytes == ready.records * 100)
            #expect(try EntryHead.parse(stored(ready.batch.bytes)).recordCount.rawValue == Int64(ready.records))
        }
    }

    @Test func percentilesAreOfWhatWasRecorded() {
        var latencies = Latencies()
        #expect(latencies.milliseconds(at: 99) == 0)
        latencies.record(nanoseconds: 1_000_000, count: 99)
        latencies.record(nanoseconds: 500_000_000)
        #expect(abs(latencies.milliseconds(at: 50) - 1) < 0.01)
        #expect(abs(latencies.maxMilliseconds - 500) < 1)
    }

    // MARK: The book-keeping of a failover run

    private let places = [TopicPartition(topic: "t", partition: 0), TopicPartition(topic: "t", partition: 1)]

    /// What a reader sees when the records of `sequences` were stored.
    private func readBack(_ run: FailoverRun, _ sequences: [Int], damage: Int? = nil) throws -> FailoverRun.Seen {
        var seen = FailoverRun.Seen()
        for sequence in sequences {
            let record = run.record(sequence)
            var value = record.value ?? ByteBuffer()
            if sequence == damage { value.setInteger(UInt8(1), at: value.readerIndex) }
            var builder = BatchBuilder()
            builder.append(key: record.key, value: value, timestamp: .init(milliseconds: 0))
            var records = try BatchRecords(of: stored(try builder.finish()), limit: 1000)
            if let read = try records.next() { run.saw(read, in: places[sequence % 2], &seen) }
        }
        return seen
    }

    private func acknowledge(_ run: FailoverRun, _ sequence: Int, at time: Int64) {
        run.answered(sequence, .success(RecordReceipt(place: places[sequence % 2], offset: Int64(sequence / 2))), time)
    }

    @Test func anAcknowledgedRecordThatIsNotThereIsLost() throws {
        let run = FailoverRun(places, recordSize: 32, mark: 9)
        for sequence in 0..<6 { acknowledge(run, sequence, at: Int64(sequence)) }
        run.answered(6, .failure(.timedOut("x")), 7)
        let outcome = run.outcome(node: 1, tally: Tally(), seen: try readBack(run, [0, 1, 2, 4, 5]))
        #expect(outcome.lost == 1)
        #expect(outcome.acknowledged == 6)
        #expect(outcome.failed == 1)
        #expect(run.acknowledgedEnds == [places[0]: 3, places[1]: 3])
    }

    @Test func recordsStoredTwiceDamagedOrOutOfOrderAreCounted() throws {
        let run = FailoverRun(places, recordSize: 32, mark: 9)
        for sequence in 0..<8 { acknowledge(run, sequence, at: Int64(sequence)) }
        let outcome = run.outcome(
            node: 1, tally: Tally(), seen: try readBack(run, [0, 1, 0, 3, 2, 6, 4, 5, 7], damage: 5))
        #expect(outcome.lost == 0)
        #expect(outcome.duplicates == 1)
        #expect(outcome.damaged == 1)
        #expect(outcome.misplaced == 1)
    }

    @Test func recordsOfAnotherRunCountForNothing() throws {
        let run = FailoverRun(places, recordSize: 32, mark: 9)
        acknowledge(run, 0, at: 0)
        let other = FailoverRun(places, recordSize: 32, mark: 10)
        var builder = BatchBuilder()
        let record = other.record(0)
        builder.append(key: record.key, value: record.value, timestamp: .init(milliseconds: 0))
        var records = try BatchRecords(of: stored(try builder.finish()), limit: 1000)
        var seen = FailoverRun.Seen()
        run.saw(try #require(try records.next()), in: places[0], &seen)
        #expect(run.outcome(node: 1, tally: Tally(), seen: seen).lost == 1)
    }

    @Test func theLongestGapIsThatOfTheWorstPartition() {
        let run = FailoverRun(places, recordSize: 32, mark: 9)
        acknowledge(run, 0, at: 1_000_000)
        acknowledge(run, 1, at: 2_000_000)
        acknowledge(run, 3, at: 5_000_000)
        acknowledge(run, 2, at: 301_000_000)
        acknowledge(run, 5, at: 302_000_000)
        let outcome = run.outcome(node: 1, tally: Tally(), seen: .init())
        #expect(outcome.gaps.map(\.nanoseconds) == [300_000_000, 297_000_000])
        #expect(outcome.longestGap == 300_000_000)
    }
}

/// A batch as a log has it: with an offset and a term.
func stored(_ batch: ByteBuffer) -> ByteBuffer {
    var batch = batch
    EntryHead.assign(baseOffset: Offset(0), term: Term(0), in: &batch)
    return batch
}

extension String {
    fileprivate func replacingBlankState(_ state: String) -> String {
        LocalCluster.replacing(") S ", by: ") \(state) ", in: self)
    }
}
