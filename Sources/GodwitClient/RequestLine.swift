// SPDX-License-Identifier: Apache-2.0
public import KafkaWire
public import NIOCore

/// A connection of its own to one broker, for a program that speaks the protocol itself: a load generator, a probe.
///
/// Nothing is retried and nothing is looked up. Requests are pipelined, and answered in the order they were sent. The
/// connection is made with the first request, and anew with the first one after it broke.
// SAFETY: `connection` is touched on the client's loop alone; entry points check it.
public final class RequestLine: @unchecked Sendable {
    public let address: BrokerAddress
    private let core: ClientCore
    private var connection: BrokerConnection?

    public init(_ client: KafkaClient, to address: BrokerAddress) {
        core = client.core
        self.address = address
    }

    /// Sends a request and hands over its answer. To be called on the client's loop, where `then` is called too.
    ///
    /// - Parameter timeout: when it is over, the connection is closed, since all later answers would be late as well.
    public func send<Request: WireRequest>(
        _ request: Request, timeout: TimeAmount = .seconds(30),
        then: @escaping (Result<Request.Response, ClientError>) -> Void
    ) {
        core.loop.preconditionInEventLoop()
        if let connection, connection.isUsable { return connection.send(request, timeout: timeout, then: then) }
        let fresh = BrokerConnection(to: address, on: core.loop, configuration: core.configuration) { _ in }
        connection = fresh
        fresh.connect()
        fresh.send(request, timeout: timeout, then: then)
    }

    /// Sends a request and waits for its answer.
    public func ask<Request: WireRequest>(
        _ request: Request, timeout: TimeAmount = .seconds(30)
    ) async throws(ClientError) -> Request.Response {
        let result: Result<Request.Response, ClientError> = await withCheckedContinuation { continuation in
            core.loop.execute {
                self.send(request, timeout: timeout) { continuation.resume(returning: $0) }
            }
        }
        return try result.get()
    }

    /// Closes the connection. Requests that wait for an answer fail.
    public func close() {
        core.loop.execute {
            self.connection?.close(.closed)
            self.connection = nil
        }
    }
}
