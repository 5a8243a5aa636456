// SPDX-License-Identifier: Apache-2.0
import GodwitClient
import KafkaWire
import NIOCore

/// Who coordinates which group, as each node tells (FindCoordinator).
struct Coordinators {
    /// A connection to each node, in order of their ids.
    let lines: [(node: Int32, line: RequestLine)]

    init(_ client: KafkaClient) async throws {
        let cluster = try await client.admin.describeCluster()
        lines = cluster.nodes.filter(\.isAlive).map { ($0.id, RequestLine(client, to: $0.address)) }
    }

    func close() {
        for (_, line) in lines { line.close() }
    }

    func line(to node: Int32) throws -> RequestLine {
        guard let found = lines.first(where: { $0.node == node }) else {
            throw ClientError.invalid("node \(node) was not there when the measurement began")
        }
        return found.line
    }

    /// The coordinators of some groups. The first question makes `__consumer_offsets`, which takes a moment.
    func find(_ groups: [String], patience: Span) async throws -> [String: Int32] {
        let start = monotonicSeconds()
        while true {
            var found: [String: Int32] = [:]
            for part in stride(from: 0, to: groups.count, by: 500) {
                let names = Array(groups[part..<min(part + 500, groups.count)])
                found.merge(try await ask(names)) { _, new in new }
            }
            if found.count == groups.count { return found }
            guard monotonicSeconds() - start < patience.seconds else {
                throw ClientError.timedOut("the coordinators of \(groups.count - found.count) groups")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Waits until each partition of `__consumer_offsets` is led by its first replica, so that no coordinator moves
    /// while something is measured. Goes on when that does not come about in time.
    func waitUntilBalanced(_ client: KafkaClient, patience: Span) async throws {
        let start = monotonicSeconds()
        // Asking for any group makes the topic.
        _ = try await find(["balanced"], patience: patience)
        while monotonicSeconds() - start < max(60, patience.seconds) {
            let topic = try? await client.admin.describeTopics(["__consumer_offsets"]).first
            if let topic, topic.partitions.allSatisfy({ $0.leader != nil && $0.leader == $0.replicas.first }) { return }
            try await Task.sleep(for: .milliseconds(200))
        }
        Terminal.note("Leadership of __consumer_offsets is not balanced yet; a coordinator may move meanwhile.")
    }

    private func ask(_ groups: [String]) async throws -> [String: Int32] {
        guard let line = lines.first?.line else { throw ClientError.noBroker(tried: []) }
        let answer = try await line.ask(Self.request(groups))
        var found: [String: Int32] = [:]
        for coordinator in answer.coordinators {
            if coordinator.error == .none {
                found[coordinator.key] = coordinator.nodeID
            } else if !coordinator.error.isRetriable {
                throw ClientError.refused(
                    coordinator.error, subject: coordinator.key, message: coordinator.errorMessage)
            }
        }
        return found
    }

    static func request(_ groups: [String]) -> FindCoordinatorRequest {
        var request = FindCoordinatorRequest()
        request.coordinatorKeys = groups
        return request
    }
}
