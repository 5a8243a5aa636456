// SPDX-License-Identifier: Apache-2.0
import Foundation
import Histories

/// history-check [options] FILE…: judges the histories in files of JSON lines, all taken together, and prints the
/// verdict as one JSON object.
///
/// Ends with 0 when the history is sound, 1 when it is not, 2 when it cannot be judged.
///
///     --tolerate KIND        counts anomalies of this kind without failing; may be repeated
///     --believe-every-ack    takes acks=1 for a promise (controls)
///     --expect-idempotence   takes every producer for an idempotent one (controls)
@main
enum HistoryCheckCommand {
    struct Usage: Error { let sentence: String }

    struct Report: Encodable {
        struct Example: Encodable {
            let anomaly: String
            let log: String
            let sentence: String
        }

        let sound: Bool
        let anomalies: [String: Int]
        let tolerated: [String]
        let examples: [Example]
        let figures: [String: Int64]
        let errors: [String: Int]
    }

    static func main() {
        do {
            var check = HistoryCheck()
            let files = try read(CommandLine.arguments.dropFirst(), into: &check)
            var reader = HistoryReader()
            for file in files { try take(file, into: &reader) }
            let verdict = check.verdict(on: try reader.operations())
            try write(verdict)
            exit(verdict.isSound ? 0 : 1)
        } catch let usage as Usage {
            complain(usage.sentence)
        } catch {
            complain("\(error)")
        }
        exit(2)
    }

    private static func read(_ arguments: ArraySlice<String>, into check: inout HistoryCheck) throws -> [String] {
        var files: [String] = []
        var rest = arguments
        while let argument = rest.popFirst() {
            switch argument {
            case "--believe-every-ack": check.believesEveryAck = true
            case "--expect-idempotence": check.expectsIdempotence = true
            case "--tolerate":
                guard let name = rest.popFirst(), let kind = Anomaly(rawValue: name) else {
                    let kinds = Anomaly.allCases.map(\.rawValue).joined(separator: " ")
                    throw Usage(sentence: "--tolerate takes one of: \(kinds)")
                }
                check.tolerated.insert(kind)
            case _ where argument.hasPrefix("-"): throw Usage(sentence: "unknown option \(argument)")
            default: files.append(argument)
            }
        }
        guard !files.isEmpty else { throw Usage(sentence: "history-check [options] FILE…") }
        return files
    }

    /// A last line without its line feed belongs to a client that was killed as it wrote it, and does not count.
    private static func take(_ path: String, into reader: inout HistoryReader) throws {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
        let decoder = JSONDecoder()
        var start = bytes.startIndex
        var number = 0
        while let end = bytes[start...].firstIndex(of: 0x0A) {
            number += 1
            defer { start = bytes.index(after: end) }
            guard end > start else { continue }
            do {
                try reader.take(decoder.decode(HistoryEvent.self, from: bytes[start..<end]))
            } catch {
                throw Usage(sentence: "\(path):\(number): \(error)")
            }
        }
    }

    private static func write(_ verdict: Verdict) throws {
        let figures = verdict.figures
        let counts = verdict.kinds.map { ($0.rawValue, verdict.counts[$0] ?? 0) }
        let report = Report(
            sound: verdict.isSound,
            anomalies: Dictionary(uniqueKeysWithValues: counts),
            tolerated: verdict.tolerated.map(\.rawValue).sorted(),
            examples: verdict.examples.map {
                Report.Example(anomaly: $0.anomaly.rawValue, log: $0.log, sentence: $0.sentence)
            },
            figures: [
                "operations": Int64(figures.operations),
                "acknowledged": Int64(figures.acknowledged),
                "acknowledgedByLeader": Int64(figures.acknowledgedByLeader),
                "failedSends": Int64(figures.failedSends),
                "unknownSends": Int64(figures.unknownSends),
                "unknownSendsFound": Int64(figures.unknownSendsFound),
                "recordsRead": Int64(figures.recordsRead),
                "offsetsRead": Int64(figures.offsetsRead),
                "toleratedDuplicates": Int64(figures.toleratedDuplicates),
                "commits": Int64(figures.commits),
                "offsetFetches": Int64(figures.offsetFetches),
                "endsListed": Int64(figures.endsListed),
                "worstRealtimeLagNanoseconds": figures.worstRealtimeLag,
            ],
            errors: figures.errors)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        FileHandle.standardOutput.write(try encoder.encode(report) + Data([0x0A]))
    }

    private static func complain(_ sentence: String) {
        FileHandle.standardError.write(Data("history-check: \(sentence)\n".utf8))
    }
}
