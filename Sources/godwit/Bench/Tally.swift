// SPDX-License-Identifier: Apache-2.0
import GodwitClient
import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What a load has done so far.
struct Tally: Sendable {
    var records = 0
    var bytes = 0
    var failed = 0
    var failure: ClientError?
    var latencies = Latencies()
    /// Nanoseconds on the monotonic clock.
    var began = monotonicNanoseconds()
    var ended = monotonicNanoseconds()

    var seconds: Double { max(1e-9, Double(ended - began) / 1e9) }
    var recordsPerSecond: Double { Double(records) / seconds }
    var megabytesPerSecond: Double { Double(bytes) / 1e6 / seconds }

    mutating func acknowledged(records count: Int, bytes size: Int, nanoseconds: Int64) {
        records += count
        bytes += size
        latencies.record(nanoseconds: nanoseconds, count: count)
    }

    mutating func refused(records count: Int, _ error: ClientError) {
        failed += count
        if failure == nil { failure = error }
    }

    /// Forgets what was counted: the warm-up is over.
    mutating func restart() {
        self = Tally()
    }

    var json: [(String, JSON)] {
        [
            ("seconds", .double(seconds)), ("records", .int(records)), ("bytes", .int(bytes)), ("failed", .int(failed)),
            ("recordsPerSecond", .double(recordsPerSecond)), ("megabytesPerSecond", .double(megabytesPerSecond)),
        ]
    }

    var line: String {
        "\(grouped(records)) records, \(decimal(Double(bytes) / 1e6, 1)) MB in \(decimal(seconds, 2)) s: "
            + "\(grouped(Int(recordsPerSecond))) records/s, \(decimal(megabytesPerSecond, 1)) MB/s"
    }
}

/// A line on a terminal that is written over each second. Elsewhere there is none.
struct ProgressLine {
    private let isShown = isatty(STDERR_FILENO) == 1
    private var before = (nanoseconds: monotonicNanoseconds(), records: 0, bytes: 0)

    mutating func show(records: Int, bytes: Int, note: String = "") {
        guard isShown else { return }
        let now = monotonicNanoseconds()
        let seconds = max(1e-9, Double(now - before.nanoseconds) / 1e9)
        let rate = Double(max(0, records - before.records)) / seconds
        let megabytes = Double(max(0, bytes - before.bytes)) / 1e6 / seconds
        before = (now, records, bytes)
        Terminal.write(
            "\r\u{1b}[K\(grouped(records)) records, \(grouped(Int(rate))) records/s, "
                + "\(decimal(megabytes, 1)) MB/s\(note)",
            to: STDERR_FILENO)
    }

    func clear() {
        if isShown { Terminal.write("\r\u{1b}[K", to: STDERR_FILENO) }
    }
}
