// SPDX-License-Identifier: Apache-2.0
import Benchmark
import Disk
import KafkaWire
import LogModel
import LogStorage
import NIOCore
import RaftCore
import RecordBatches

#if canImport(Glibc)
    import Glibc
#endif

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock, .cpuTotal, .throughput], scalingFactor: .kilo, maxDuration: .seconds(2))
    recordBenchmarks()
    wireBenchmarks()
    raftBenchmarks()
    storageBenchmarks()
    cleaningBenchmarks()
}

func recordBenchmarks() {
    let megabyte = Samples.noise(1 << 20)
    Benchmark("CRC-32C of 1 MiB", configuration: .init(scalingFactor: .one)) { benchmark in
        for _ in benchmark.scaledIterations {
            blackHole(megabyte.withUnsafeReadableBytes { CRC32C.checksum($0) })
        }
    }

    var batch = Samples.batch()
    EntryHead.assign(baseOffset: Offset(0), term: Term(1), in: &batch)
    let stored = batch
    Benchmark("EntryHead.parse") { benchmark in
        for _ in benchmark.scaledIterations { blackHole(try EntryHead.parse(stored)) }
    }

    let value = Samples.noise(Samples.recordSize)
    Benchmark("Build a batch of 1,000 records of 1 KiB", configuration: .init(scalingFactor: .one)) { benchmark in
        for _ in benchmark.scaledIterations {
            var builder = BatchBuilder(reservingCapacity: 1 << 20)
            for _ in 0..<Samples.recordsInBatch {
                builder.append(key: nil, value: value, timestamp: Timestamp(milliseconds: 1))
            }
            blackHole(try builder.finish())
        }
    }

    Benchmark("Read a batch of 1,000 records of 1 KiB", configuration: .init(scalingFactor: .one)) { benchmark in
        for _ in benchmark.scaledIterations {
            var records = try BatchRecords(of: stored, limit: 4 << 20, verifyingChecksum: true)
            while let record = try records.next() { blackHole(record) }
        }
    }
}

func wireBenchmarks() {
    let body = Samples.produceBody(partitions: 6, version: 11)
    Benchmark("Decode a produce request of 6 partitions") { benchmark in
        for _ in benchmark.scaledIterations { blackHole(try ProduceRequest.decode(body, version: 11)) }
    }

    var answer = ProduceResponse()
    var topic = ProduceResponse.Topic()
    topic.name = "events"
    topic.partitions = (0..<Int32(6)).map { index in
        var partition = ProduceResponse.Partition()
        partition.index = index
        partition.baseOffset = 1_000_000
        return partition
    }
    answer.topics = [topic]
    let encoded = answer
    Benchmark("Encode a produce response of 6 partitions") { benchmark in
        for _ in benchmark.scaledIterations { blackHole(try encoded.encodeFrame(correlationID: 7, version: 11)) }
    }
}

func raftBenchmarks() {
    let group = PartitionID(topic: TopicID(high: 1, low: 1), index: 0)

    // One voter: a proposal and its own disk make a commit.
    Benchmark("Raft: propose, durable, commit (1 voter)") { benchmark in
        var node = RaftNode(
            id: NodeID(1), group: group, members: RaftMembers(voters: [NodeID(1)]), seed: 1,
            now: Moment(nanoseconds: 0))
        var output = RaftNode.Output()
        var now: UInt64 = 10_000_000_000
        node.handle(.tick, now: Moment(nanoseconds: now), into: &output)
        if let state = output.persist {
            output.reset()
            node.handle(.persisted(state), now: Moment(nanoseconds: now), into: &output)
        }
        precondition(node.isLeader, "the only voter leads")
        var end = node.lastEntry.end
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            now += 1000
            end = LogIndex(end.rawValue + 10)
            output.reset()
            node.handle(.proposed(end: end), now: Moment(nanoseconds: now), into: &output)
            node.handle(.durable(through: end), now: Moment(nanoseconds: now), into: &output)
            blackHole(output.committed)
        }
    }

    Benchmark("Raft: a follower's tick with nothing due") { benchmark in
        var node = RaftNode(
            id: NodeID(1), group: group, members: RaftMembers(voters: [NodeID(1), NodeID(2), NodeID(3)]), seed: 1,
            now: Moment(nanoseconds: 0))
        var output = RaftNode.Output()
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            output.reset()
            node.handle(.tick, now: Moment(nanoseconds: 1), into: &output)
            blackHole(node.deadline)
        }
    }
}

func storageBenchmarks() {
    Benchmark(
        "Log: append 1 MB and write it out", configuration: .init(scalingFactor: .one, maxIterations: 1000)
    ) { benchmark in
        let directory = "/tmp/godwit-microbenchmark-\(getpid())"
        let files = RealFileSystem()
        let log = try PartitionLog.open(
            directory: directory, in: files, limits: LogLimits(), now: Timestamp(milliseconds: 0))
        let sample = Samples.batch()
        var next = log.endOffset
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            var bytes = sample
            EntryHead.assign(baseOffset: next, term: Term(1), in: &bytes)
            let head = try EntryHead.parse(bytes)
            log.append(bytes, heads: [head])
            try log.writeOut()
            next = head.nextOffset
        }
        benchmark.stopMeasurement()
        try log.close()
        try files.removeTree(directory)
    }
}
