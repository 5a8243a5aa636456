// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import KafkaWire
import LogModel

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure a cluster: rates, latencies, CPU time, and what a killed leader costs.",
        discussion: """
            Works against any cluster that speaks Kafka's protocol. CPU time and memory of the nodes are shown when they
            run on this machine: their process ids come from cluster-data/node*.pid (make up writes them) or --pids.
            A GB has 10⁹ bytes, a MB 10⁶.

            Examples:
              godwit bench produce --partitions 6 --replication-factor 3 --bytes 2GB
              godwit bench produce --rate 2000 --duration 30s --acks all
              godwit bench consume
              godwit bench failover --runs 10 --json
              godwit bench members --members 1000 --partitions 1000 --replication-factor 1
              godwit bench commits --groups 200
              godwit bench takeover --offsets 100000
            """,
        subcommands: [
            BenchProduce.self, BenchConsume.self, BenchFailover.self, BenchMembers.self, BenchCommits.self,
            BenchTakeover.self,
        ])
}

/// The topic that is measured with, made when it is missing.
struct BenchTopicOptions: ParsableArguments {
    @Option(help: "The topic, which is created when it is missing.")
    var topic = "bench"

    @Option(help: "How many partitions a new topic has (default: the cluster's own).")
    var partitions: Int32?

    @Option(help: "On how many nodes a new topic is kept (default: the cluster's own).")
    var replicationFactor: Int16?

    @Flag(help: "Delete the topic first, with all that is in it.")
    var fresh = false

    func validate() throws {
        try validateTopic(topic)
        if let partitions, partitions < 1 { throw ValidationError("--partitions is at least 1") }
        if let replicationFactor, replicationFactor < 1 { throw ValidationError("--replication-factor is at least 1") }
    }

    /// Makes the topic as asked for, and returns once each partition has a leader.
    func prepare(_ client: KafkaClient, patience: Span) async throws -> TopicDescription {
        var known = try await describe(client)
        if fresh, known != nil {
            try await client.admin.deleteTopic(topic)
            known = nil
        }
        if known == nil { try await create(client, patience: patience) }
        let made = try await waitForLeaders(client, topic, patience: patience)
        if let partitions, made.partitions.count != partitions {
            Terminal.note("Topic \(topic) has \(made.partitions.count) partitions, not \(partitions): see --fresh.")
        }
        return made
    }

    private func describe(_ client: KafkaClient) async throws(ClientError) -> TopicDescription? {
        do throws(ClientError) {
            return try await client.admin.describeTopics([topic]).first
        } catch {
            if case .refused(.unknownTopicOrPartition, _, _) = error { return nil }
            throw error
        }
    }

    /// A topic that was deleted a moment ago may still be in the way.
    private func create(_ client: KafkaClient, patience: Span) async throws {
        let start = monotonicSeconds()
        while true {
            do throws(ClientError) {
                try await client.admin.createTopic(
                    topic, partitions: partitions ?? -1, replicationFactor: replicationFactor ?? -1)
                return
            } catch {
                guard case .refused(.topicAlreadyExists, _, _) = error, monotonicSeconds() - start < patience.seconds
                else { throw error }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}

/// Which processes are the nodes.
struct LocalClusterOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The nodes' process ids, as 1=4711,2=4712 or 4711,4712.", valueName: "pids"))
    var pids: String?

    @Option(help: ArgumentHelp("Where node*.pid lie.", valueName: "folder"))
    var clusterData = "cluster-data"

    func validate() throws { _ = try cluster() }

    func cluster() throws -> LocalCluster {
        do throws(LocalCluster.Flaw) {
            return try LocalCluster(folder: clusterData, named: pids)
        } catch {
            throw ValidationError("\(error)")
        }
    }
}
