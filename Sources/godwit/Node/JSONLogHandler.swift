// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging

/// One JSON object a line on standard error: `{"time":…,"level":…,"message":…,…}`.
struct JSONLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields: [(String, JSON)] = [
            ("time", .string(Date.now.formatted(.iso8601.time(includingFractionalSeconds: true)))),
            ("level", .string(event.level.rawValue)), ("message", .string("\(event.message)")),
        ]
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) { fields.append((key, .string("\(value)"))) }
        // One write a line, so that lines of several threads do not mix.
        FileHandle.standardError.write(Data((JSON.object(fields).line + "\n").utf8))
    }
}
