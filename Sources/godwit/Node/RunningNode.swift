// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Configuration
import Dispatch
import Foundation
import GodwitNode
import LogModel
import Logging
import Settings

/// A node as a process: settings in, log lines out, and a clean stop on SIGTERM or SIGINT.
enum RunningNode {
    static var environment: [String: String] { ProcessInfo.processInfo.environment }

    static func load(file: String?, flags: [String], mode: NodeConfiguration.Mode) throws -> NodeSettings {
        do throws(ConfigurationError) {
            return try NodeConfiguration.load(file: file, environment: environment, flags: flags, mode: mode)
        } catch {
            Terminal.note("godwit: the node cannot start with this configuration:\n\(error)")
            Terminal.note("`godwit settings` lists every setting with its meaning and bounds.")
            throw ExitCode.validationFailure
        }
    }

    static func run(_ settings: NodeSettings) async throws {
        let logger = Self.logger(settings.output)
        let node: Node
        do {
            node = try await Node.start(settings, logger: logger)
        } catch {
            Terminal.note("godwit: \(error)")
            throw ExitCode.failure
        }
        logger.notice(
            "ready",
            metadata: [
                "node": "\(settings.node.id.rawValue)", "kafka": "\(settings.kafka.advertised.host):\(node.kafkaPort)",
                "peer": "\(settings.peer.listen.host):\(node.peerPort)", "data": "\(settings.node.data)",
                "pid": "\(ProcessInfo.processInfo.processIdentifier)",
            ])
        let signal = await Self.stopSignal()
        logger.notice("stopping on a signal", metadata: ["signal": "\(signal)"])
        await node.stop()
    }

    /// Returns the first of SIGTERM and SIGINT; a second one ends the process at once.
    private static func stopSignal() async -> String {
        let (signals, continuation) = AsyncStream.makeStream(of: String.self)
        var sources: [any DispatchSourceSignal] = []
        for (number, name) in [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT")] {
            Foundation.signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { continuation.yield(name) }
            source.resume()
            sources.append(source)
        }
        var first = "end of input"
        for await name in signals {
            first = name
            break
        }
        for source in sources { source.cancel() }
        for number in [SIGTERM, SIGINT] { Foundation.signal(number, SIG_DFL) }
        return first
    }

    private static func logger(_ output: OutputSettings) -> Logger {
        let format = output.format
        let level = Logger.Level(rawValue: output.level.rawValue) ?? .info
        return Logger(label: "godwit") { _ in
            var handler: any LogHandler =
                format == .json ? JSONLogHandler() : StreamLogHandler.standardError(label: "godwit")
            handler.logLevel = level
            return handler
        }
    }
}
