// SPDX-License-Identifier: Apache-2.0
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Standard output and standard error as the commands use them.
enum Terminal {
    /// Says something to the person, beside the output: waiting, progress, what went wrong.
    static func note(_ text: String) { write(text + "\n", to: STDERR_FILENO) }

    /// Prints an answer and a line break.
    static func print(_ text: String) { write(text + "\n", to: STDOUT_FILENO) }

    static func write(_ text: String, to file: Int32) {
        var text = text
        text.withUTF8 { bytes in _ = write(UnsafeRawBufferPointer(bytes), to: file) }
    }

    /// Writes all of `bytes`. Returns `false` when the reader is gone (a closed pipe) or the disk is full.
    @discardableResult
    static func write(_ bytes: UnsafeRawBufferPointer, to file: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            #if canImport(Darwin)
                let written = Darwin.write(file, rest.baseAddress, rest.count)
            #elseif canImport(Musl)
                let written = Musl.write(file, rest.baseAddress, rest.count)
            #else
                let written = Glibc.write(file, rest.baseAddress, rest.count)
            #endif
            if written < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                return false
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
        return true
    }
}

/// Output collected into large writes. `flush()` before leaving.
struct OutputBuffer {
    /// What has not been written yet.
    private(set) var bytes: [UInt8] = []
    private let file: Int32
    /// `false` once the reader of the output has gone.
    private(set) var isOpen = true

    init(file: Int32 = STDOUT_FILENO) {
        self.file = file
        bytes.reserveCapacity(1 << 16)
    }

    mutating func append(_ more: some Sequence<UInt8>) {
        bytes.append(contentsOf: more)
        if bytes.count >= 1 << 16 { flush() }
    }

    mutating func append(_ text: String) { append(text.utf8) }

    mutating func flush() {
        if !bytes.isEmpty, isOpen { isOpen = bytes.withUnsafeBytes { Terminal.write($0, to: file) } }
        bytes.removeAll(keepingCapacity: true)
    }
}

/// Lines of standard input, read in large pieces. The reads block, so this stays off the event loops.
struct LineReader {
    private var buffer: [UInt8] = []
    private var start = 0
    private var atEnd = false
    private let file: Int32
    private let limit: Int

    /// - Parameter limit: the longest line that is taken, in bytes.
    init(file: Int32 = STDIN_FILENO, limit: Int) {
        self.file = file
        self.limit = limit
    }

    enum Flaw: Error, CustomStringConvertible {
        case tooLong(limit: Int)
        case unreadable(errno: Int32)

        var description: String {
            switch self {
            case .tooLong(let limit): "a line of the input is longer than \(limit) bytes"
            case .unreadable(let code): "standard input cannot be read: \(String(cString: strerror(code)))"
            }
        }
    }

    /// The whole lines that one read brings, without their line breaks; `nil` at the end of the input.
    /// A last line without a line break counts as a line.
    mutating func next() throws(Flaw) -> [ArraySlice<UInt8>]? {
        while true {
            var lines: [ArraySlice<UInt8>] = []
            var from = start
            while let end = buffer[from...].firstIndex(of: UInt8(ascii: "\n")) {
                lines.append(buffer[from..<end])
                from = end + 1
            }
            if !lines.isEmpty {
                start = from
                return lines
            }
            if atEnd {
                guard start < buffer.count else { return nil }
                let last = buffer[start...]
                start = buffer.count
                return [last]
            }
            guard buffer.count - start <= limit else { throw .tooLong(limit: limit) }
            try fill()
        }
    }

    private mutating func fill() throws(Flaw) {
        // A new array: slices handed out earlier keep the old one.
        var fresh = Array(buffer[start...])
        let kept = fresh.count
        fresh.append(contentsOf: repeatElement(0, count: 1 << 16))
        let count = fresh.withUnsafeMutableBytes { bytes in
            while true {
                let got = read(file, bytes.baseAddress.map { $0 + kept }, 1 << 16)
                if got >= 0 || errno != EINTR { return got }
            }
        }
        guard count >= 0 else { throw .unreadable(errno: errno) }
        fresh.removeLast((1 << 16) - count)
        atEnd = count == 0
        buffer = fresh
        start = 0
    }
}
