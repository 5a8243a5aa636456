// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import RecordBatches

/// A codec by its name.
struct CodecName: ExpressibleByArgument {
    let codec: Codec

    static let none = CodecName(codec: .none)

    private init(codec: Codec) { self.codec = codec }

    init?(argument: String) {
        guard let codec = Codec(name: argument) else { return nil }
        self.codec = codec
    }

    var defaultValueDescription: String { codec.description }
    static var allValueStrings: [String] { Codec.allCases.map(\.description) }
}

/// How many replicas must have a record: `0`, `1` or `all`.
struct Acks: ExpressibleByArgument {
    let level: Acknowledgement

    static let all = Acks(level: .all)

    private init(level: Acknowledgement) { self.level = level }

    init?(argument: String) {
        switch argument {
        case "0", "none": level = .none
        case "1", "leader": level = .leader
        case "all", "-1": level = .all
        default: return nil
        }
    }

    var defaultValueDescription: String { level == .all ? "all" : "\(level.rawValue)" }
    static var allValueStrings: [String] { ["0", "1", "all"] }
}
