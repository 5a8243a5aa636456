// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

extension SystemTests {
    @Suite struct TopicTests {
        private struct Made: Decodable {
            let name: String
            let created: Bool
            let partitions: Int
            let replicationFactor: Int
        }

        private struct Listed: Decodable {
            let name: String
            let partitions: Int
            let replicationFactor: Int
        }

        @Test func topicsAreCreatedListedDescribedAndDeleted() throws {
            try withCluster { cluster in
                let made: Made = try cluster.godwit(
                    "topic", "create", "events", "--partitions", "6", "--replication-factor", "3", "--config",
                    "retention.ms=86400000")
                try #require(made.name == "events" && made.created)
                try #require(made.partitions == 6 && made.replicationFactor == 3)

                let again = try cluster.godwitFailing("topic", "create", "events")
                try #require(again.code == 1 && again.words.contains("exists already"), "\(again)")
                let content: Made = try cluster.godwit("topic", "create", "events", "--if-not-exists")
                try #require(!content.created)

                let listed: [Listed] = try cluster.godwit("topic", "list")
                try #require(listed.map(\.name) == ["events"], "\(listed)")

                let found = try cluster.describe("events")
                try #require(found.configs["retention.ms"] == "86400000")
                try #require(found.partitions.map(\.index) == Array(0..<6))
                for partition in found.partitions {
                    try #require(Set(partition.replicas) == [1, 2, 3], "\(partition)")
                    try #require(partition.earliest == 0 && partition.latest == 0, "\(partition)")
                }
                // Six partitions on three nodes: two each.
                for node in cluster.nodes {
                    try wait(for: "node \(node.id) to lead two partitions") {
                        try cluster.describe("events").partitions.count { $0.leader == node.id } == 2
                    }
                }

                _ = try cluster.godwit("topic", "delete", "events")
                try wait(for: "no topics to be left") {
                    try cluster.godwit("topic", "list", as: [Listed].self).isEmpty
                }
                let gone = try cluster.godwitFailing("topic", "describe", "events")
                try #require(gone.code == 1 && gone.words.contains("does not exist"), "\(gone)")
                // The files go too, on every node.
                for node in cluster.nodes {
                    let topics = node.data.appending(path: "topics").path
                    try wait(for: "the files of the topic on node \(node.id) to go") {
                        try FileManager.default.contentsOfDirectory(atPath: topics).filter { $0.contains("-") }.isEmpty
                    }
                }
            }
        }

        @Test func aTopicMadeAnewUnderItsOldNameIsEmpty() throws {
            try withCluster { cluster in
                let source = cluster.place.file("lines")
                try Data("old\n".utf8).write(to: source)
                try cluster.createTopic("phoenix")
                try cluster.python("confluent_client.py", "produce", "--topic", "phoenix", "--file", source.path)
                try #require(try cluster.describe("phoenix").partitions[0].latest == 1)
                _ = try cluster.godwit("topic", "delete", "phoenix")
                try cluster.createTopic("phoenix")
                try #require(try cluster.describe("phoenix").partitions[0].latest == 0)
                try Data("new\n".utf8).write(to: source)
                try cluster.python("confluent_client.py", "produce", "--topic", "phoenix", "--file", source.path)
                let target = cluster.place.file("read")
                try cluster.python("confluent_client.py", "consume", "--topic", "phoenix", "--file", target.path)
                try #require(try String(contentsOf: target, encoding: .utf8) == "new\n")
            }
        }

        private struct Trimmed: Decodable {
            struct Partition: Decodable {
                let index: Int
                let from: Int
                let to: Int
            }

            let executed: Bool
            let offsets: Int
            let partitions: [Partition]
        }

        @Test func theOldestRecordsAreTrimmedWhenItIsMeant() throws {
            try withCluster { cluster in
                let source = cluster.place.file("lines")
                let lines = (0..<100).map { "line \($0)\n" }
                try Data(lines.joined().utf8).write(to: source)
                try cluster.createTopic("events")
                try cluster.python("confluent_client.py", "produce", "--topic", "events", "--file", source.path)

                let plan: Trimmed = try cluster.godwit("topic", "trim", "events", "--before-offset", "40")
                try #require(!plan.executed && plan.offsets == 40)
                try #require(try cluster.describe("events").partitions[0].earliest == 0, "a plan does nothing")

                let done: Trimmed = try cluster.godwit("topic", "trim", "events", "--before-offset", "40", "--execute")
                try #require(done.executed && done.offsets == 40)
                try #require(done.partitions.map(\.from) == [0] && done.partitions.map(\.to) == [40])
                let target = cluster.place.file("read")
                try cluster.python("confluent_client.py", "consume", "--topic", "events", "--file", target.path)
                try #require(try String(contentsOf: target, encoding: .utf8) == lines[40...].joined())

                // Not back, whoever leads and whatever has been restarted; nor by the time of records that are younger.
                for node in cluster.nodes { try node.kill() }
                for node in cluster.nodes { try node.start() }
                try cluster.waitUntilWhole()
                let back: Trimmed = try cluster.godwit("topic", "trim", "events", "--before-offset", "7", "--execute")
                let older: Trimmed = try cluster.godwit(
                    "topic", "trim", "events", "--before-time", "2001-02-03", "--execute")
                try #require(back.offsets == 0 && older.offsets == 0)
                try #require(try cluster.describe("events").partitions[0].earliest == 40)

                // All are older than a time to come.
                let all: Trimmed = try cluster.godwit(
                    "topic", "trim", "events", "--before-time", "2199-01-01", "--execute")
                try #require(all.offsets == 60)
                let empty = try cluster.describe("events").partitions[0]
                try #require(empty.earliest == 100 && empty.latest == 100, "\(empty)")

                let wrong = try cluster.godwitFailing(
                    "topic", "trim", "events", "--partition", "1", "--before-offset", "1", "--execute")
                try #require(wrong.code == 1 && wrong.words.contains("has no partition 1"), "\(wrong)")
            }
        }

        @Test func oldSegmentsGoAndTheRestStays() throws {
            try withCluster(settings: ["log.retention.check.interval: 200ms"]) { cluster in
                try cluster.createTopic(
                    "short", configs: ["segment.bytes": "65536", "retention.bytes": "131072"])
                let source = cluster.place.file("lines")
                // Two megabytes in batches far smaller than a segment.
                let line = String(repeating: "x", count: 500)
                let lines = (0..<4000).map { "\($0) \(line)\n" }
                try Data(lines.joined().utf8).write(to: source)
                try cluster.python(
                    "confluent_client.py", "produce", "--topic", "short", "--file", source.path, "--batch-bytes",
                    "16384")

                var first = 0
                try wait(for: "the oldest records to go") {
                    first = try cluster.describe("short").partitions[0].earliest ?? 0
                    return first > 3000
                }
                try #require(first < 4000)
                for node in cluster.nodes {
                    var kept = 0
                    try wait(for: "node \(node.id) to keep less than 400 kB; it has \(kept)") {
                        kept = node.logs.values.reduce(0) { $0 + $1.count }
                        return kept < 400_000
                    }
                }
                let target = cluster.place.file("read")
                // More may go between the question and the reading; then both are done again.
                try wait(for: "a reading during which nothing went") {
                    first = try cluster.describe("short").partitions[0].earliest ?? 0
                    try cluster.python("confluent_client.py", "consume", "--topic", "short", "--file", target.path)
                    return try cluster.describe("short").partitions[0].earliest == first
                }
                try #require(try String(contentsOf: target, encoding: .utf8) == lines[first...].joined())

                // A start after a kill begins where the log was cut, too.
                for node in cluster.nodes { try node.kill() }
                for node in cluster.nodes { try node.start() }
                try cluster.waitUntilWhole()
                let earliest = try cluster.describe("short").partitions[0].earliest ?? 0
                try #require(earliest >= first)
            }
        }
    }
}
