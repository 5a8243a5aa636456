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
        switch await end(of: node) {
        case .signal(let name): logger.notice("stopping on a signal", metadata: ["signal": "\(name)"])
        case .removal(let sentence): logger.notice("stopping: \(sentence)")
        }
        await node.stop()
    }

    private enum End {
        case signal(String)
        case removal(String)
    }

    /// Waits for whatever ends the node first: somebody's wish, or that the cluster has removed it.
    private static func end(of node: Node) async -> End {
        await withTaskGroup(of: End?.self) { group in
            group.addTask { .signal(await StopSignal.first()) }
            group.addTask { await node.removal().map { .removal($0) } }
            defer { group.cancelAll() }
            for await end in group {
                if let end { return end }
            }
            return .signal("none")
        }
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
