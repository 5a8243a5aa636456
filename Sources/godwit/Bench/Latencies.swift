// SPDX-License-Identifier: Apache-2.0
import Histogram

/// Latencies in an HDR histogram: microseconds, three significant digits, up to ten minutes.
struct Latencies: Sendable {
    private var histogram = Histogram<UInt64>(
        highestTrackableValue: 600_000_000, numberOfSignificantValueDigits: .three)

    mutating func record(nanoseconds: Int64, count: Int = 1) {
        let microseconds = UInt64(max(nanoseconds, 0) / 1000)
        histogram.record(min(microseconds, 600_000_000), count: UInt64(count))
    }

    mutating func reset() { histogram.reset() }

    var isEmpty: Bool { histogram.totalCount == 0 }

    /// Milliseconds at a percentile.
    func milliseconds(at percentile: Double) -> Double {
        isEmpty ? 0 : Double(histogram.valueAtPercentile(percentile)) / 1000
    }

    var maxMilliseconds: Double { isEmpty ? 0 : Double(histogram.maxRecorded) / 1000 }

    var json: JSON {
        .object([
            ("p50", .double(milliseconds(at: 50))), ("p99", .double(milliseconds(at: 99))),
            ("p99.9", .double(milliseconds(at: 99.9))), ("max", .double(maxMilliseconds)),
        ])
    }

    var line: String {
        "p50 \(decimal(milliseconds(at: 50), 2)) ms, p99 \(decimal(milliseconds(at: 99), 2)) ms, "
            + "p99.9 \(decimal(milliseconds(at: 99.9), 2)) ms, max \(decimal(maxMilliseconds, 2)) ms"
    }
}

/// What some work cost in CPU time and memory: the nodes when they run here, and the load generator itself.
struct Cost {
    private let cluster: LocalCluster
    private let nodesBefore: [Double?]
    private let ownBefore: Double

    /// Begins to count.
    init(_ cluster: LocalCluster) {
        self.cluster = cluster
        nodesBefore = cluster.nodes.map { ProcessUsage.cpuSeconds(of: $0.pid) }
        ownBefore = ProcessUsage.ownCPUSeconds()
    }

    struct Figures {
        struct Node {
            let id: Int32?
            let pid: Int32
            let seconds: Double
            let residentBytes: Int
        }

        let nodes: [Node]
        let own: Double
        /// Uncompressed record bytes the seconds were spent on; a GB has 10⁹.
        let gigabytes: Double

        var total: Double { nodes.reduce(0) { $0 + $1.seconds } }

        var json: JSON {
            .object([
                (
                    "nodes",
                    .array(
                        nodes.map { node in
                            .object([
                                ("id", .optional(node.id)), ("pid", .int(node.pid)), ("seconds", .double(node.seconds)),
                                ("secondsPerGB", perGB(node.seconds)), ("residentBytes", .int(node.residentBytes)),
                            ])
                        })
                ),
                ("nodesSecondsPerGB", nodes.isEmpty ? .null : perGB(total)),
                ("ownSeconds", .double(own)), ("ownSecondsPerGB", perGB(own)),
            ])
        }

        private func perGB(_ seconds: Double) -> JSON { gigabytes > 0 ? .double(seconds / gigabytes) : .null }

        var text: String {
            guard gigabytes > 0 else { return "" }
            var table = Table(("PROCESS", .left), ("PID", .right), ("CPU s/GB", .right), ("RESIDENT MB", .right))
            for node in nodes {
                table.add(
                    "node \(node.id.map(String.init) ?? "?")", "\(node.pid)", decimal(node.seconds / gigabytes, 2),
                    decimal(Double(node.residentBytes) / 1e6, 1))
            }
            if nodes.count > 1 { table.add("all nodes", "", decimal(total / gigabytes, 2), "") }
            table.add("this load generator", "", decimal(own / gigabytes, 2), "")
            return table.text
        }
    }

    /// - Parameter bytes: the bytes of records that the work has moved.
    func figures(bytes: Int) -> Figures {
        var nodes: [Figures.Node] = []
        for (node, before) in zip(cluster.nodes, nodesBefore) {
            guard let before, let after = ProcessUsage.cpuSeconds(of: node.pid) else { continue }
            nodes.append(
                Figures.Node(
                    id: node.id, pid: node.pid, seconds: after - before,
                    residentBytes: ProcessUsage.residentBytes(of: node.pid) ?? 0))
        }
        return Figures(nodes: nodes, own: ProcessUsage.ownCPUSeconds() - ownBefore, gigabytes: Double(bytes) / 1e9)
    }
}
