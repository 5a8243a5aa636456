// SPDX-License-Identifier: Apache-2.0

/// A Swift file split into lines, and the same lines with comments and string literals blanked out, so that a rule
/// about code is not caught by prose.
struct SourceText {
    let lines: [String]
    /// As many lines as `lines`; what stood in a comment or in a literal is gone.
    let code: [String]

    init(_ text: String) {
        var split = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if split.last == "" { split.removeLast() }
        lines = split
        var blanker = Blanker()
        code = split.map { blanker.blank($0) }
    }

    /// The first line of each function (or initialiser, or subscript) with its number of lines, braces included.
    var functions: [(line: Int, length: Int)] {
        var found: [(line: Int, length: Int)] = []
        var open: [(line: Int, depth: Int)] = []
        var awaiting: Int?
        var depth = 0
        for (index, line) in code.enumerated() {
            if awaiting == nil, Self.beginsFunction(line) { awaiting = index }
            for character in line {
                if character == "{" {
                    if let first = awaiting {
                        open.append((first, depth))
                        awaiting = nil
                    }
                    depth += 1
                } else if character == "}" {
                    depth -= 1
                    if let last = open.last, last.depth == depth {
                        open.removeLast()
                        found.append((last.line, index - last.line + 1))
                    }
                }
            }
            // A requirement of a protocol has no body: its line ends, and the next one begins something else.
            if let first = awaiting, index > first, line.allSatisfy(\.isWhitespace) { awaiting = nil }
        }
        return found
    }

    private static func beginsFunction(_ line: String) -> Bool {
        let words = line.split(whereSeparator: { $0 == " " || $0 == "(" || $0 == "<" || $0 == "?" })
        guard let first = words.firstIndex(where: { !modifiers.contains($0) && !$0.hasPrefix("@") }) else {
            return false
        }
        return ["func", "init", "deinit", "subscript"].contains(words[first])
    }

    private static let modifiers: Set<Substring> = [
        "public", "internal", "private", "fileprivate", "package", "open", "static", "final", "override", "mutating",
        "nonmutating", "consuming", "borrowing", "convenience", "required", "nonisolated", "isolated",
    ]
}

/// Takes comments and literals out of a file, line by line.
private struct Blanker {
    private enum Place: Equatable {
        case code
        case comment(depth: Int)
        /// Between `#…"""` and `"""#…`.
        case text(hashes: Int)
    }

    private var place = Place.code

    mutating func blank(_ line: String) -> String {
        var rest = Substring(line)
        var kept = ""
        while let first = rest.first {
            switch place {
            case .comment(let depth):
                if rest.hasPrefix("*/") {
                    rest = rest.dropFirst(2)
                    place = depth == 1 ? .code : .comment(depth: depth - 1)
                } else if rest.hasPrefix("/*") {
                    rest = rest.dropFirst(2)
                    place = .comment(depth: depth + 1)
                } else {
                    rest = rest.dropFirst()
                }
            case .text(let hashes):
                let end = "\"\"\"" + String(repeating: "#", count: hashes)
                if rest.hasPrefix(end) {
                    rest = rest.dropFirst(end.count)
                    place = .code
                } else {
                    rest = rest.dropFirst(rest.hasPrefix("\\") && hashes == 0 ? 2 : 1)
                }
            case .code:
                if rest.hasPrefix("//") { return kept }
                if rest.hasPrefix("/*") {
                    rest = rest.dropFirst(2)
                    place = .comment(depth: 1)
                } else if first == "\"" || first == "#", let hashes = Self.hashesBeforeQuote(rest) {
                    rest = rest.dropFirst(hashes)
                    if rest.hasPrefix("\"\"\"") {
                        rest = rest.dropFirst(3)
                        place = .text(hashes: hashes)
                    } else {
                        rest = Self.afterLiteral(rest.dropFirst(), hashes: hashes)
                        kept += "\"\""
                    }
                } else {
                    kept.append(first)
                    rest = rest.dropFirst()
                }
            }
        }
        return kept
    }

    private static func hashesBeforeQuote(_ text: Substring) -> Int? {
        let hashes = text.prefix(while: { $0 == "#" }).count
        return text.dropFirst(hashes).first == "\"" ? hashes : nil
    }

    /// What follows a one-line literal whose opening quote is behind; interpolations in it go with it.
    private static func afterLiteral(_ text: Substring, hashes: Int) -> Substring {
        let marks = String(repeating: "#", count: hashes)
        var rest = text
        var nested = 0
        while let first = rest.first {
            if nested == 0, rest.hasPrefix("\"" + marks) { return rest.dropFirst(1 + hashes) }
            if rest.hasPrefix("\\" + marks + "(") {
                nested += 1
                rest = rest.dropFirst(2 + hashes)
            } else if first == "\\", hashes == 0 {
                rest = rest.dropFirst(2)
            } else if nested > 0, first == "\"" {
                rest = afterLiteral(rest.dropFirst(), hashes: 0)
            } else {
                if nested > 0, first == "(" { nested += 1 }
                if nested > 0, first == ")" { nested -= 1 }
                rest = rest.dropFirst()
            }
        }
        return rest
    }
}
