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
        let signal = await StopSignal.first()
        logger.notice("stopping on a signal", metadata: ["signal": "\(signal)"])
        await node.stop()
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
