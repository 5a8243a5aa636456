// SPDX-License-Identifier: Apache-2.0
public import NIOCore
public import NIOPosix

/// A client of one cluster: the connections and the metadata that a `Producer`, a `Consumer` and an `Admin` share.
///
/// All its work happens on one event loop. Make several clients to use several cores.
///
///     let client = KafkaClient(ClientConfiguration(bootstrap: [BrokerAddress(host: "127.0.0.1", port: 9092)]))
///     let topics = try await client.admin.listTopics()
///     await client.close()
public final class KafkaClient: Sendable {
    let core: ClientCore

    /// The loop that all of this client's work happens on.
    public var eventLoop: any EventLoop { core.loop }

    public init(
        _ configuration: ClientConfiguration, group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        core = ClientCore(configuration, loop: group.next())
    }

    /// Topics, configurations and the cluster itself.
    public var admin: Admin { Admin(client: self) }

    /// Closes all connections. Calls that wait for an answer fail with `.closed`.
    public func close() async {
        let _: Result<Void, ClientError> = await onLoop { core, done in
            core.close()
            done(.success(()))
        }
    }

    /// Runs `body` on the loop and waits for what it hands to its callback.
    func onLoop<Value: Sendable>(
        _ body: @escaping @Sendable (ClientCore, @escaping (Result<Value, ClientError>) -> Void) -> Void
    ) async -> Result<Value, ClientError> {
        let core = core
        return await withCheckedContinuation { continuation in
            core.loop.execute {
                body(core) { continuation.resume(returning: $0) }
            }
        }
    }
}

/// One partition of a topic by name.
public struct TopicPartition: Hashable, Sendable, CustomStringConvertible {
    public let topic: String
    public let partition: Int32

    public init(topic: String, partition: Int32) {
        self.topic = topic
        self.partition = partition
    }

    public var description: String { "\(topic)-\(partition)" }
}
