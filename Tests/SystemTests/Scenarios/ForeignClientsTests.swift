// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

extension SystemTests {
    /// Three clients that share no code with us, nor (but for kcat and confluent-kafka) with each other.
    @Suite struct ForeignClientsTests {
        enum Client: String, CaseIterable {
            case kcat, confluent, kafkaPython

            func produce(_ file: URL, to topic: String, codec: String, _ cluster: TestCluster) throws {
                switch self {
                case .kcat:
                    try cluster.place.run(
                        "kcat", "-b", cluster.bootstrap, "-P", "-t", topic, "-p", "0", "-z", codec, "-X", "acks=all",
                        "-X", "max.in.flight=1", "-X", "topic.metadata.refresh.interval.ms=1000", "-l", file.path)
                case .confluent:
                    try cluster.python(
                        "confluent_client.py", "produce", "--topic", topic, "--file", file.path, "--codec", codec)
                case .kafkaPython:
                    try cluster.python(
                        "kafka_python_client.py", "produce", "--topic", topic, "--file", file.path, "--codec", codec)
                }
            }

            func consume(_ topic: String, to file: URL, _ cluster: TestCluster) throws {
                switch self {
                case .kcat:
                    let text = try cluster.place.run(
                        "kcat", "-b", cluster.bootstrap, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q",
                        "-X", "check.crcs=true")
                    try Data(text.utf8).write(to: file)
                case .confluent:
                    try cluster.python("confluent_client.py", "consume", "--topic", topic, "--file", file.path)
                case .kafkaPython:
                    try cluster.python("kafka_python_client.py", "consume", "--topic", topic, "--file", file.path)
                }
            }
        }

        /// Lines of many lengths: empty ones, ones that compress well and ones that hardly do.
        private static func lines(_ count: Int) -> Data {
            var text = ""
            var state: UInt64 = 0x9e37_79b9_7f4a_7c15
            for number in 0..<count {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                switch number % 4 {
                case 0: text += "\(number) " + String(repeating: "godwit ", count: Int(state >> 60))
                case 1: text += String(state, radix: 36) + String(state.byteSwapped, radix: 36)
                case 2: text += "ein Strandvogel: Pfuhlschnepfe № \(number), 鳥"
                default: text += number % 100 == 3 ? String(repeating: "\(state)", count: 400) : "."
                }
                text += "\n"
            }
            return Data(text.utf8)
        }

        @Test(arguments: ["none", "gzip", "snappy", "lz4", "zstd"])
        func everyClientReadsByteForByteWhatEveryClientWrote(_ codec: String) throws {
            try withCluster { cluster in
                let sent = Self.lines(4000)
                let source = cluster.place.file("sent")
                try sent.write(to: source)
                for producer in Client.allCases {
                    let topic = "\(producer.rawValue)-\(codec)"
                    try cluster.createTopic(topic)
                    try producer.produce(source, to: topic, codec: codec, cluster)
                    for consumer in Client.allCases {
                        let target = cluster.place.freshFile("received")
                        try consumer.consume(topic, to: target, cluster)
                        let received = try Data(contentsOf: target)
                        let isSame = received == sent
                        try #require(
                            isSame,
                            """
                            \(consumer) read \(received.count) bytes of the \(sent.count) that \(producer) wrote \
                            with \(codec)
                            """)
                    }
                }
            }
        }

        @Test func aWaitingFetchIsAnsweredByTheCommitAndNotByTheClock() throws {
            try withCluster { cluster in
                try cluster.createTopic("awaited")
                struct Waits: Decodable {
                    let rounds: Int
                    let slowestMilliseconds: Double
                    let fetches: Int
                }
                let text = try cluster.python("long_poll.py", "--topic", "awaited", "--rounds", "20")
                let waits = try JSONDecoder().decode(Waits.self, from: Data(text.utf8))
                try #require(waits.rounds == 20)
                // The fetch waits for 20 s: anything near a second was a look at the clock.
                try #require(waits.slowestMilliseconds < 700, "a record took \(waits.slowestMilliseconds) ms")
                // One or two a record: a client that is not made to wait would ask thousands of times.
                try #require(waits.fetches < 20 * 4 + 20, "\(waits.fetches) fetches for 20 records")
            }
        }

        @Test func theBrokersWordsOnBadAdministrationAreKafkas() throws {
            try withCluster { cluster in try cluster.python("admin.py", "--topic", "administered") }
        }

        @Test func aBatchBeyondTheTopicsLimitIsRefusedAndTheNextOneTaken() throws {
            try withCluster { cluster in
                try cluster.createTopic("narrow", configs: ["max.message.bytes": "10000"])
                try cluster.python("limits.py", "too-large", "--topic", "narrow")
            }
        }

        @Test func aProduceWantsAsManyReplicasAsTheTopicSays() throws {
            try withCluster { cluster in
                try cluster.createTopic("guarded", configs: ["min.insync.replicas": "3"])
                try cluster.python("limits.py", "expect", "--topic", "guarded", "--code", "0")
                let leader = try cluster.leader(of: "guarded")
                let follower = try #require(cluster.nodes.first { $0 !== leader })
                try follower.kill()
                try cluster.python("limits.py", "expect", "--topic", "guarded", "--code", "19")
                try follower.start()
                try cluster.waitUntilWhole()
                try cluster.python("limits.py", "expect", "--topic", "guarded", "--code", "0")
            }
        }
    }
}
