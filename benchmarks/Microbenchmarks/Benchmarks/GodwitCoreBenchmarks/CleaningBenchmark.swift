// SPDX-License-Identifier: Apache-2.0
import Benchmark
import Disk
import LogModel
import LogStorage
import NIOCore
import RecordBatches

#if canImport(Glibc)
    import Glibc
#endif

/// Compaction of a log of 64 MB in segments of 16 MiB, a million possible keys. MB of log in a CPU second: 64,000 over
/// the CPU time in milliseconds.
func cleaningBenchmarks() {
    for (codec, size) in [(Codec.none, 1_000), (.none, 100), (.lz4, 1_000)] {
        Benchmark(
            "Log: compact 64 MB, \(codec), values of \(size) bytes",
            configuration: .init(
                metrics: [.wallClock, .cpuTotal, .peakMemoryResident], scalingFactor: .one, maxDuration: .seconds(20),
                maxIterations: 5)
        ) { benchmark in
            let directory = "/tmp/godwit-microbenchmark-\(getpid())"
            let files = RealFileSystem()
            for _ in benchmark.scaledIterations {
                let log = try filledLog(in: directory, files, codec: codec, valueSize: size)
                benchmark.startMeasurement()
                try clean(log)
                benchmark.stopMeasurement()
                try log.close()
                try files.removeTree(directory)
            }
        }
    }
}

private func filledLog(
    in directory: String, _ files: RealFileSystem, codec: Codec, valueSize: Int
) throws -> PartitionLog<RealFileSystem> {
    let log = try PartitionLog.open(
        directory: directory, in: files, limits: LogLimits(segmentBytes: .mebibytes(16)),
        now: Timestamp(milliseconds: 0))
    let value = Samples.noise(valueSize)
    var state: UInt64 = 7
    var written = 0
    while written < 64_000_000 {
        var builder = BatchBuilder(reservingCapacity: 70_000)
        while builder.size < 64_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            builder.append(
                key: ByteBuffer(string: "user-\((state >> 33) % 1_000_000)"), value: value,
                timestamp: Timestamp(milliseconds: 1))
        }
        var batch = try builder.finish(codec: codec)
        EntryHead.assign(baseOffset: log.endOffset, term: Term(1), in: &batch)
        let head = try EntryHead.parse(batch)
        log.append(batch, heads: [head])
        try log.writeOut()
        written += head.totalSize
    }
    if let ticket = log.beginSync() { _ = try log.completeSync(ticket, ticket.run()) }
    return log
}

private func clean(_ log: PartitionLog<RealFileSystem>) throws {
    let cleaning = try log.beginCleaning(
        now: Timestamp(milliseconds: 0), committed: log.end, rules: CleaningRules(), mapSize: .mebibytes(64),
        seed: (3, 4))
    while let cleaning {
        switch cleaning.step(.mebibytes(2)) {
        case .working: continue
        case .cleaned(let segment, _):
            let swap = try log.install(segment)
            log.swapEnded(swap, isDone: swap.run())
        case .finished(let outcome): return log.endCleaning(outcome)
        case .failed(let error): throw error
        }
    }
}
