// SPDX-License-Identifier: Apache-2.0
import Foundation
import NIOCore
import Synchronization

/// A file of history lines. Each line is written at once: a client may be killed, and what it had begun must be known.
final class HistoryFile: Sendable {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw NativeLoad.Usage(sentence: "\(path) cannot be written") }
    }

    /// The monotonic clock, which all processes of a machine share, in nanoseconds.
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    func write(_ line: String) {
        var text = line
        text.append("\n")
        let written = text.withUTF8 { Foundation.write(descriptor, $0.baseAddress, $0.count) }
        precondition(written == text.utf8.count, "a history that cannot be written proves nothing")
    }
}

/// Writes the operations of one client.
final class HistoryWriter: Sendable {
    private let file: HistoryFile
    private let client: String
    private let count = Atomic<Int>(0)

    init(_ file: HistoryFile, client: String) {
        self.file = file
        self.client = client
    }

    /// - Parameter fields: more of the line, each with a comma before it.
    func invoke(_ action: String, _ fields: String = "") -> Int {
        let op = count.add(1, ordering: .relaxed).newValue
        write("invoke", op, #","action":"\#(action)"\#(fields)"#)
        return op
    }

    func end(_ phase: String, _ op: Int, _ fields: String = "", error: (any Error)? = nil) {
        write(phase, op, fields + Self.field(error))
    }

    /// An operation with its beginning and its end in one line.
    func whole(
        _ action: String, _ phase: String = "ok", began: Int64, _ fields: String = "", error: (any Error)? = nil
    ) {
        let op = count.add(1, ordering: .relaxed).newValue
        write(phase, op, #","action":"\#(action)","began":\#(began)\#(fields)"# + Self.field(error))
    }

    private func write(_ phase: String, _ op: Int, _ fields: String) {
        file.write(#"{"at":\#(HistoryFile.now()),"client":"\#(client)","op":\#(op),"phase":"\#(phase)"\#(fields)}"#)
    }

    /// Only the kind of error: it is counted, and its words may hold anything.
    private static func field(_ error: (any Error)?) -> String {
        guard let error else { return "" }
        let kind = "\(error)".prefix { $0 != "(" && $0 != ":" && $0 != ";" }
        return #","error":"native \#(kind.filter { $0.isLetter || $0.isNumber || " _-./".contains($0) })""#
    }
}

/// What a record holds: its value in digits and bytes that follow from it, as load.py has them.
enum Payload {
    private static let filling: [UInt8] = (0..<1024).map { UInt8(33 + (7 * $0) % 90) }

    static func bytes(_ value: Int64) -> ByteBuffer {
        var buffer = ByteBuffer(string: "\(value):")
        let start = Int(value % 256)
        buffer.writeBytes(filling[start..<start + 16 + Int(value % 400)])
        return buffer
    }

    /// -1 when the bytes are not those of any value.
    static func value(_ buffer: ByteBuffer?) -> Int64 {
        guard let buffer, let digits = buffer.readableBytesView.split(separator: 0x3A, maxSplits: 1).first,
            digits.count <= 18, let value = Int64(String(decoding: digits, as: UTF8.self)), value >= 0
        else { return -1 }
        return bytes(value) == buffer ? value : -1
    }
}
