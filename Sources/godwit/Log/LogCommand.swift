// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Disk
import LogModel
import LogStorage

/// Looks at the files of a node that is not running.
struct LogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Look at the files of a node that is not running.",
        discussion: """
            <dir> is a node's data directory, or one partition's directory in it. Nothing is changed. A directory on
            which a node is running is refused.

            Examples:
              godwit log verify ./godwit-data
              godwit log dump ./godwit-data/topics/0123456789abcdef0123456789abcdef-0 --records
            """,
        subcommands: [LogVerify.self, LogDumpCommand.self])
}

/// What a data directory holds that can be looked at.
struct LogPlaces {
    private(set) var logs: [String] = []
    private(set) var journals: [String] = []
    /// Other files with a checksum or an end mark of their own.
    private(set) var metadataSnapshots: [String] = []
    /// Logs that were set aside because they could not be read.
    private(set) var setAside: [String] = []

    init(below directory: String, in files: RealFileSystem) throws {
        guard try files.exists(directory) else { throw ValidationError("\(directory): there is no such directory") }
        try look(into: directory, in: files, depth: 0)
        guard !logs.isEmpty || !journals.isEmpty else {
            throw ValidationError("\(directory) holds neither a log nor a node's data")
        }
    }

    private mutating func look(into directory: String, in files: RealFileSystem, depth: Int) throws {
        guard let names = try? files.list(directory) else { return }
        if LogExamination<RealFileSystem>.isLog(names) { return logs.append(directory) }
        if LogExamination<RealFileSystem>.isJournal(names) { return journals.append(directory) }
        if names.contains("snapshot") { metadataSnapshots.append(directory + "/snapshot") }
        guard depth < 4 else { return }
        for name in names {
            let path = directory + "/" + name
            if name.contains(".damaged") {
                setAside.append(path)
            } else {
                try look(into: path, in: files, depth: depth + 1)
            }
        }
    }
}
