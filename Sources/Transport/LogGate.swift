// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore

/// Lets a few lines a second through to the log and counts the rest, so that a flood of bad clients is not also a flood
/// of lines.
struct LogGate {
    private let logger: Logger
    private let linesPerSecond = 10
    private var windowStart = NIODeadline.uptimeNanoseconds(0)
    private var lines = 0
    private var suppressed = 0

    init(_ logger: Logger) { self.logger = logger }

    mutating func info(_ message: @autoclosure () -> Logger.Message) {
        let now = NIODeadline.now()
        if now - windowStart >= .seconds(1) {
            windowStart = now
            lines = 0
        }
        guard lines < linesPerSecond else {
            suppressed += 1
            return
        }
        lines += 1
        logger.info(message(), metadata: suppressed > 0 ? ["suppressed": "\(suppressed)"] : nil)
        suppressed = 0
    }
}

extension String {
    /// What a stranger called itself, fit for a log line: printable ASCII only, at most 64 characters.
    var printable: String {
        String(decoding: utf8.prefix(64).map { (0x20..<0x7f).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }
}
