// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// What a connection did since it was last looked at, and how long it has been doing too little.
struct ConnectionHealth {
    /// Set by any traffic, cleared by each look.
    var isActive = true
    var framesRead: UInt64 = 0
    /// Bytes received into frames that were not yet complete.
    var bytesRead = 0
    /// Bytes ever given to the socket's queue.
    var queued = 0

    private(set) var isQuiet = false
    private var activeAt: NIODeadline?
    private var readMark: (frames: UInt64, bytes: Int, at: NIODeadline)?
    private var writeMark: (bytes: Int, at: NIODeadline)?

    /// Why the connection should be closed, or `nil`.
    mutating func check(
        now: NIODeadline, limits: ConnectionLimits, unanswered: Int, unsent: Int, isMidFrame: Bool
    ) -> String? {
        isQuiet = !isActive
        if isActive || unanswered > 0 || unsent > 0 { activeAt = now }
        isActive = false
        if now - (activeAt ?? now) > limits.idleTimeout { return "idle" }
        return readStall(now: now, limits: limits, isMidFrame: isMidFrame)
            ?? writeStall(now: now, limits: limits, unsent: unsent)
    }

    private mutating func readStall(now: NIODeadline, limits: ConnectionLimits, isMidFrame: Bool) -> String? {
        guard isMidFrame, let mark = readMark, mark.frames == framesRead,
            bytesRead - mark.bytes < limits.minimumProgressBytes
        else {
            readMark = isMidFrame ? (framesRead, bytesRead, now) : nil
            return nil
        }
        return now - mark.at > limits.frameProgressTimeout ? "a request came too slowly" : nil
    }

    private mutating func writeStall(now: NIODeadline, limits: ConnectionLimits, unsent: Int) -> String? {
        let sent = queued - unsent
        guard unsent > 0, let mark = writeMark, sent - mark.bytes < limits.minimumProgressBytes else {
            writeMark = unsent > 0 ? (sent, now) : nil
            return nil
        }
        return now - mark.at > limits.writeStallTimeout ? "the client does not read its answers" : nil
    }
}
