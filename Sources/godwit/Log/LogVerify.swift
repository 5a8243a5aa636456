// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Broker
import Disk
import LogModel
import LogStorage

/// `godwit log verify`: reads every file and says which are damaged.
struct LogVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check every byte, and end with 1 if something is damaged.",
        discussion: """
            Checksums, offsets, terms and places of all entries are compared with what the checkpoint says, indexes with
            their segments; votes, snapshots and checkpoints by their own checksums. What is torn at the end of a log
            that was not closed properly is no damage: nobody was told that it was stored.
            """)

    @Argument(help: "A node's data directory, or one partition's.") var directory: String
    @Flag(help: "Print JSON.") var json = false
    @Flag(help: "Name every file, not only those that are damaged.") var all = false

    func run() async throws {
        let lock = try DirectoryLock(of: directory)
        let files = RealFileSystem()
        let places = try LogPlaces(below: directory, in: files)
        var shown = ReadingProgress(total: Self.total(places, files), isShown: !json)
        var verdicts: [FileVerdict] = []
        for log in places.logs {
            let counter = ByteCounter()
            var examination = LogExamination(of: log, in: files) { counter.add($0) }
            verdicts += try examination.run()
            shown.add(counter.count)
        }
        for journal in places.journals {
            verdicts.append(try LogExamination.verifyJournal(in: journal, fs: files))
        }
        var flaws = verdicts.flatMap(\.flaws)
        for path in places.metadataSnapshots { flaws += Self.flaws(ofSnapshot: path, files) }
        shown.end()
        _ = consume lock
        report(verdicts, flaws: flaws, setAside: places.setAside)
        if !flaws.isEmpty { throw ExitCode(1) }
    }

    private static func total(_ places: LogPlaces, _ files: RealFileSystem) -> ByteCount {
        var total = ByteCount.zero
        for log in places.logs {
            for name in (try? files.list(log)) ?? [] where name.hasSuffix(".log") {
                total += (try? files.size(of: log + "/" + name)) ?? .zero
            }
        }
        return total
    }

    /// What is wrong with the metadata's snapshot in a file of that name. One of a later version is not judged.
    static func flaws(ofSnapshot path: String, _ files: RealFileSystem) -> [LogError.Corruption] {
        do {
            _ = try MetadataSnapshotFile(in: RealFileSystem.parent(of: path), files: files).read()
            return []
        } catch MetadataSnapshot.Damage.laterVersion {
            return []
        } catch {
            return [.init(file: path, position: .zero, detail: "\(error)")]
        }
    }

    // MARK: - Output

    private func report(_ verdicts: [FileVerdict], flaws: [LogError.Corruption], setAside: [String]) {
        let read = verdicts.reduce(ByteCount.zero) { $0 + $1.size }
        guard !json else { return Terminal.print(document(verdicts, flaws, setAside, read).pretty) }
        var table = Table(
            ("FILE", .left), ("KIND", .left), ("BYTES", .right), ("ENTRIES", .right), ("", .left))
        var rows = 0
        for verdict in verdicts where all || !verdict.flaws.isEmpty || !verdict.remarks.isEmpty {
            let state = verdict.flaws.isEmpty ? verdict.remarks.joined(separator: "; ") : "DAMAGED"
            table.add(
                short(verdict.file), verdict.kind.rawValue, grouped(verdict.size.rawValue), grouped(verdict.entries),
                state.isEmpty ? "sound" : state)
            rows += 1
        }
        if rows > 0 { Terminal.print(table.text) }
        for flaw in flaws { Terminal.print("\(short(flaw.file)) at byte \(flaw.position.rawValue): \(flaw.detail)") }
        for path in setAside { Terminal.print("\(short(path)): set aside earlier, not looked at") }
        let files = verdicts.count
        Terminal.print(
            flaws.isEmpty
                ? "\(grouped(files)) files, \(read): everything is sound"
                : "\(grouped(files)) files, \(read): \(flaws.count) damaged parts. Start the node: it fetches what is "
                    + "damaged from its peers.")
    }

    private func short(_ path: String) -> String {
        path.hasPrefix(directory + "/") ? String(path.dropFirst(directory.count + 1)) : path
    }

    private func document(
        _ verdicts: [FileVerdict], _ flaws: [LogError.Corruption], _ setAside: [String], _ read: ByteCount
    ) -> JSON {
        .object([
            ("sound", .bool(flaws.isEmpty)), ("bytes", .int(read.rawValue)),
            (
                "files",
                .array(
                    verdicts.map { verdict in
                        .object([
                            ("file", .string(verdict.file)), ("kind", .string(verdict.kind.rawValue)),
                            ("bytes", .int(verdict.size.rawValue)), ("entries", .int(verdict.entries)),
                            ("sound", .bool(verdict.flaws.isEmpty)),
                            ("remarks", .array(verdict.remarks.map(JSON.string))),
                        ])
                    })
            ),
            (
                "damage",
                .array(
                    flaws.map { flaw in
                        .object([
                            ("file", .string(flaw.file)), ("position", .int(flaw.position.rawValue)),
                            ("detail", .string(flaw.detail)),
                        ])
                    })
            ),
            ("setAside", .array(setAside.map(JSON.string))),
        ])
    }
}

private final class ByteCounter {
    private(set) var count = ByteCount.zero

    func add(_ bytes: ByteCount) { count += bytes }
}

/// How far it is, on a line of standard error that a terminal shows.
private struct ReadingProgress {
    private let total: ByteCount
    private let isShown: Bool
    private var done = ByteCount.zero
    private var last = monotonicSeconds()

    init(total: ByteCount, isShown: Bool) {
        self.total = total
        self.isShown = isShown
    }

    mutating func add(_ bytes: ByteCount) {
        done += bytes
        guard isShown, monotonicSeconds() - last > 1 else { return }
        last = monotonicSeconds()
        Terminal.note("\(done) of \(total) read")
    }

    func end() {}
}
