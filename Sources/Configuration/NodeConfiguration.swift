// SPDX-License-Identifier: Apache-2.0

import Foundation
public import Settings

/// Reads one node's settings: a YAML file, then `GODWIT_…` variables, then flags; later ones win.
public enum NodeConfiguration {
    /// What the node is started as.
    public enum Mode: Hashable, Sendable {
        /// A member of a cluster: `node.id` and `cluster.voters` must be given.
        case node
        /// One node by itself, for which every setting has a default.
        case dev
    }

    /// `GODWIT_…` variables that are no settings: those of the other commands and of `make up`.
    public static let otherVariables: Set<String> = [
        "GODWIT_CONFIG", "GODWIT_BOOTSTRAP", "GODWIT_BROKERS", "GODWIT_UP_SECONDS",
    ]

    /// How the variables of the system tests begin, which the nodes they start inherit.
    static let testVariablePrefix = "GODWIT_TEST_"

    /// A longer file is no configuration.
    static let fileBytesMax = 1 << 20

    /// The settings of a node.
    ///
    /// A wrong value is refused even where a later source overrides it.
    /// - Parameters:
    ///   - file: the path of the YAML file, if there is one.
    ///   - environment: all variables of the process.
    ///   - flags: each `name=value`.
    /// - Throws: every complaint at once.
    public static func load(
        file: String?, environment: [String: String], flags: [String], mode: Mode
    ) throws(ConfigurationError) -> NodeSettings {
        var draft = SettingsDraft()
        if let file {
            switch text(of: file) {
            case .success(let text): draft.readFile(text, named: file)
            case .failure(let complaint): draft.complain(at: file, complaint.message)
            }
        }
        return try settings(of: draft, environment, flags, mode)
    }

    /// The settings that a file's text gives, for tests and for embedding.
    public static func read(
        yaml: String, named name: String, environment: [String: String] = [:], flags: [String] = [], mode: Mode = .node
    ) throws(ConfigurationError) -> NodeSettings {
        var draft = SettingsDraft()
        draft.readFile(yaml, named: name)
        return try settings(of: draft, environment, flags, mode)
    }

    /// What variables and flags make of a file.
    private static func settings(
        of file: SettingsDraft, _ environment: [String: String], _ flags: [String], _ mode: Mode
    ) throws(ConfigurationError) -> NodeSettings {
        var draft = file
        draft.readEnvironment(environment, ignoring: otherVariables)
        draft.readFlags(flags)
        return try draft.finished(mode)
    }

    /// The environment variable of a setting: `node.id` is `GODWIT_NODE_ID`.
    public static func variable(of name: String) -> String {
        "GODWIT_" + name.uppercased().replacingOccurrences(of: ".", with: "_")
    }

    private struct Unreadable: Error { let message: String }

    private static func text(of file: String) -> Result<String, Unreadable> {
        let data: Data
        do {
            let handle = try FileHandle(forReadingFrom: URL(filePath: file))
            defer { try? handle.close() }
            data = try handle.read(upToCount: fileBytesMax + 1) ?? Data()
        } catch {
            let reason = FileManager.default.fileExists(atPath: file) ? "cannot be read" : "there is no such file"
            return .failure(Unreadable(message: reason))
        }
        guard data.count <= fileBytesMax else {
            return .failure(Unreadable(message: "longer than \(fileBytesMax) bytes, so this is no configuration"))
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            return .failure(Unreadable(message: "not UTF-8 text"))
        }
        return .success(text)
    }
}
