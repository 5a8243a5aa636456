// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension SystemTests {
    @Suite struct StartTests {
        @Test func aNodeWithoutAnyConfigurationServesProducersAndConsumers() throws {
            let place = try Workplace()
            // Only when somebody else has the usual ports are others named.
            var words = [Workplace.godwit, "dev"]
            var address = "127.0.0.1:9092"
            if !Workplace.isFree(9092) || !Workplace.isFree(19092) {
                let ports = try Workplace.freePorts(2)
                address = "127.0.0.1:\(ports[0])"
                words += ["--set", "kafka.listen=\(address)", "--set", "peer.listen=127.0.0.1:\(ports[1])"]
            }
            let sent = "one\ntwo\nthree\n"
            let source = place.file("lines")
            try Data(sent.utf8).write(to: source)
            for life in 0..<2 {
                let node = try place.start(words, in: place.folder)
                defer { node.end() }
                try wait(for: "the node to be ready\n\(node.tail(20))", upTo: 20) {
                    try #require(node.isRunning, "\(node.tail(20))")
                    return node.errorText.contains("ready")
                }
                if life == 0 {
                    // The topic makes itself.
                    try place.run("kcat", "-b", address, "-P", "-t", "first", "-z", "zstd", "-l", source.path)
                }
                let read = try place.run("kcat", "-b", address, "-C", "-t", "first", "-o", "beginning", "-e", "-q")
                try #require(read == sent)
                let kept = FileManager.default.fileExists(atPath: place.file("godwit-data/identity").path)
                try #require(kept, "the data is in ./godwit-data")
                node.signal(SIGTERM)
                try #require(try node.waitForEnd(upTo: 30) == 0, "\(node.tail(20))")
            }
        }

        @Test func everythingWrongWithAConfigurationIsNamedAtOnceWithFileAndLine() throws {
            let place = try Workplace()
            let file = place.file("node.yaml")
            let lines = [
                "node.id: 1",
                "node.shards: many",
                "kafka:",
                "  listen: 127.0.0.1:9092",
                "  lissten: 127.0.0.1:9093",
                "raft.election.timeout: 5ms",
                "retention.ms: 1000",
            ]
            try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: file)
            let answer = try place.runFailing([Workplace.godwit, "node", "--config", file.path])
            try #require(answer.code == 64, "\(answer)")
            for (line, word) in [(2, "node.shards"), (5, "kafka.lissten"), (6, "raft.election.timeout"), (7, "topic")] {
                let isNamed = answer.words.split(separator: "\n").contains {
                    $0.contains("node.yaml:\(line):") && $0.contains(word)
                }
                try #require(isNamed, "line \(line) (\(word)) is not named in:\n\(answer.words)")
            }
            try #require(answer.words.contains("cluster.voters is missing"), "\(answer.words)")
            try #require(answer.words.contains("did you mean kafka.listen?"), "\(answer.words)")

            let variable = try place.runFailing(
                [Workplace.godwit, "dev"], environment: ["GODWIT_NODE_SHRADS": "1"])
            try #require(variable.code == 64 && variable.words.contains("GODWIT_NODE_SHARDS"), "\(variable)")
        }

        @Test func aPortThatIsTakenIsNamed() throws {
            let place = try Workplace()
            let ports = try Workplace.freePorts(3)
            func words(_ folder: String, _ peer: Int) -> [String] {
                [
                    Workplace.godwit, "dev", "--data", place.file(folder).path, "--set",
                    "kafka.listen=127.0.0.1:\(ports[0])", "--set", "peer.listen=127.0.0.1:\(peer)",
                ]
            }
            let first = try place.start(words("first", ports[1]))
            defer { first.end() }
            try wait(for: "the first node to be ready\n\(first.tail(20))") { first.errorText.contains("ready") }
            let second = try place.runFailing(words("second", ports[2]))
            try #require(second.code == 1, "\(second)")
            try #require(second.words.contains("\(ports[0])"), "the port is not named: \(second.words)")
            // Nor does a second node take the data of the first.
            let third = try place.runFailing(words("first", ports[2]))
            try #require(third.code == 1 && third.words.contains("another node is running on"), "\(third)")
        }

        @Test func aCommandWithoutAClusterSaysSo() throws {
            let place = try Workplace()
            let port = try Workplace.freePorts(1)[0]
            let answer = try place.runFailing(
                [Workplace.godwit, "cluster", "status", "--timeout", "2s", "--bootstrap", "127.0.0.1:\(port)"])
            try #require(answer.code == 1 && answer.words.contains("nobody listens on"), "\(answer)")
        }
    }
}
