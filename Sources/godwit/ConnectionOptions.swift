// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import KafkaWire
import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// How a command finds its cluster, and how it prints.
struct ConnectionOptions: ParsableArguments {
    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "Brokers to ask first, host:port,… (GODWIT_BOOTSTRAP, else 127.0.0.1:9092).", valueName: "brokers"))
    var bootstrap: String?

    @Flag(help: "Print JSON.")
    var json = false

    @Option(help: ArgumentHelp("How long to try before giving up.", valueName: "time"))
    var timeout = Span(seconds: 30)

    func validate() throws { _ = try addresses() }

    private func addresses() throws -> [BrokerAddress] {
        let fromEnvironment = getenv("GODWIT_BOOTSTRAP").map { String(cString: $0) }
        let text = bootstrap ?? fromEnvironment ?? "127.0.0.1:9092"
        guard let list = BrokerAddress.list(text) else {
            throw ValidationError("'\(text)' is no list of host:port,…")
        }
        return list
    }

    func clientConfiguration() throws -> ClientConfiguration {
        var configuration = ClientConfiguration(bootstrap: try addresses())
        configuration.clientID = "godwit-cli"
        configuration.deliveryTimeout = .nanoseconds(timeout.nanoseconds)
        configuration.requestTimeout = .nanoseconds(min(timeout.nanoseconds, 30_000_000_000))
        configuration.connectTimeout = .nanoseconds(min(timeout.nanoseconds, 5_000_000_000))
        return configuration
    }

    /// Runs `body` with a client, closes it, and turns what went wrong into a sentence and exit code 1.
    func withClient(_ body: (KafkaClient) async throws -> Void) async throws {
        let configuration = try clientConfiguration()
        let client = KafkaClient(configuration)
        do {
            try await body(client)
            await client.close()
        } catch {
            await client.close()
            throw report(error, configuration.bootstrap)
        }
    }

    /// Says what went wrong and gives the exit code.
    func report(_ error: any Error, _ bootstrap: [BrokerAddress]) -> any Error {
        if error is ExitCode || error is ValidationError || error is CleanExit { return error }
        Terminal.note("godwit: \(advice(error, bootstrap))")
        return ExitCode(1)
    }

    private func advice(_ error: any Error, _ bootstrap: [BrokerAddress]) -> String {
        guard let error = error as? ClientError else { return "\(error)" }
        switch error {
        case .noBroker(let tried) where !tried.isEmpty && tried.allSatisfy({ $0.hasSuffix("nobody listens") }):
            let places = bootstrap.map(\.description).joined(separator: ", ")
            return "nobody listens on \(places); start a cluster with `make up` or `godwit dev`, "
                + "or say where one is with --bootstrap"
        case .refused(.unknownTopicOrPartition, let subject, _):
            return "topic '\(subject)' does not exist; `godwit topic list` shows what does, "
                + "`godwit topic create \(subject)` makes it"
        case .refused(.topicAlreadyExists, let subject, _): return "topic '\(subject)' exists already"
        case .refused(.groupIDNotFound, let subject, _):
            return "\(subject) does not exist; `godwit group list` shows what does"
        case .refused(.nonEmptyGroup, let subject, _):
            return "\(subject) has members; `godwit group describe` shows them, stop them first"
        case .refused(.groupSubscribedToTopic, let subject, _):
            return "\(subject) is read by the group at the moment; stop its members first"
        case .notSupported("explaining groups"):
            return "the group's coordinator cannot explain groups: it is no Godwit node, or an older one; "
                + "`godwit group describe` shows what every broker knows"
        default: return "\(error)"
        }
    }
}
