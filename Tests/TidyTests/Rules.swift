// SPDX-License-Identifier: Apache-2.0

/// The rules of the house that neither the compiler nor swift-format sees. Each complaint names the file, the line
/// and what to do instead.
enum Rules {
    static let columns = 120
    static let linesOfAFile = 600
    static let linesOfAFunction = 70

    /// Targets without files, sockets, clocks, tasks or randomness of their own, and all that each may import
    /// (architecture, layers).
    static let pureTargets: [String: Set<String>] = [
        // `Probe`, which tests listen to marks with, is shared by what runs below it.
        "LogModel": ["Synchronization"],
        "Settings": ["LogModel"],
        "RecordBatches": ["LogModel", "CCRC32C", "CLZ4", "CZstd", "CSnappy", "CZlib", "NIOCore"],
        "KafkaWire": ["LogModel", "NIOCore"],
        "RaftCore": ["LogModel"],
        "PeerWire": ["LogModel", "RaftCore", "NIOCore"],
        "MetadataCore": ["LogModel", "Settings"],
        "RegularExpressions": [],
        "Histories": [],
        "GroupCore": ["LogModel", "Settings", "KafkaWire", "RegularExpressions", "NIOCore"],
    ]

    /// Words of code, matched whole, that have no place in a pure target.
    private static let impureWords: [(word: String, instead: String)] = [
        ("async", "effects belong to the shell: events in, work out"),
        ("await", "effects belong to the shell: events in, work out"),
        ("Task", "a pure target starts nothing; return the work to do"),
        ("ContinuousClock", "take the moment as an argument"),
        ("SuspendingClock", "take the moment as an argument"),
        ("Date", "take the moment as an argument"),
        (".random", "take the number, or a generator, as an argument"),
        ("SystemRandomNumberGenerator", "take a generator as an argument"),
        (".shuffled()", "take a generator as an argument"),
        (".randomElement()", "take a generator as an argument"),
        ("print", "return what is to be said"),
        ("nonisolated(unsafe)", "a pure target shares nothing"),
        ("@unchecked", "a pure target shares nothing"),
    ]

    // The words are joined at run time, so that a search for them in the tree does not end here.
    private static let bannedAnywhere: [(word: String, instead: String)] = [
        ("TO" + "DO", "finish it, or say in an issue what is left"),
        ("FIX" + "ME", "mend it, or say in an issue what is wrong"),
        ("fatalError(\"not" + " implemented", "do it, or do not offer it"),
    ]
    private static let bannedInCode: [(word: String, instead: String)] = [
        ("try" + "!", "throw, or say with `guard` and `preconditionFailure` why it cannot fail"),
        ("as" + "!", "use `as?` and handle the other case"),
    ]
    private static let bannedInTests: [(word: String, instead: String)] = [
        ("Task." + "sleep", "wait for a condition"), ("usl" + "eep", "wait for a condition"),
        ("sl" + "eep(", "wait for a condition"),
    ]

    /// Words that say that a file has no subject of its own.
    private static let vagueNames = [
        "Manager", "Helper", "Helpers", "Util", "Utils", "Utilities", "Common", "Misc",
    ]

    /// The complaints about one file. `path` is relative to the repository and decides which rules apply.
    static func complaints(path: String, text: String) -> [String] {
        let source = SourceText(text)
        var found: [String] = []
        func complain(_ line: Int?, _ sentence: String) {
            found.append(line.map { "\(path):\($0 + 1): \(sentence)" } ?? "\(path): \(sentence)")
        }
        checkShape(path, source, complain)
        guard path.hasSuffix(".swift") else { return found }
        for word in vagueNames where path.split(separator: "/").last?.contains(word) == true {
            complain(nil, "`\(word)` says nothing; name the file after what is in it")
        }
        for function in source.functions where function.length > linesOfAFunction {
            complain(function.line, "a function of \(function.length) lines; the limit is \(linesOfAFunction)")
        }
        for (index, line) in source.code.enumerated() {
            guard let name = declaredType(line), let word = vagueNames.first(where: name.hasSuffix) else { continue }
            complain(index, "`\(name)`: `\(word)` says nothing; name the noun or the act")
        }
        let isTest = path.hasPrefix("Tests/")
        for (index, line) in source.code.enumerated() {
            for (word, instead) in bannedInCode where contains(line, word) { complain(index, "`\(word)`: \(instead)") }
            for (word, instead) in bannedInTests where isTest && contains(line, word) {
                complain(index, "`\(word)`: \(instead)")
            }
            if line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)"), !isJustified(index, source)
            {
                complain(index, "say in a `// SAFETY:` comment right above why this holds")
            }
        }
        if let target = pureTarget(path) { checkPurity(target, source, complain) }
        return found
    }

    private static func checkShape(_ path: String, _ source: SourceText, _ complain: (Int?, String) -> Void) {
        let first = source.lines.first ?? ""
        let second = source.lines.dropFirst().first ?? ""
        // A manifest, and a script, must begin with a line of another kind.
        let license = first.hasPrefix("// swift-tools-version") || first.hasPrefix("#!") ? second : first
        if !license.contains("SPDX-License-Identifier: Apache-2.0") {
            complain(0, "the first line is `// SPDX-License-Identifier: Apache-2.0`")
        }
        if source.lines.count > linesOfAFile {
            complain(nil, "\(source.lines.count) lines; the limit is \(linesOfAFile): split it by concern")
        }
        for (index, line) in source.lines.enumerated() {
            if line.count > columns { complain(index, "\(line.count) columns; the limit is \(columns)") }
            for (word, instead) in bannedAnywhere where contains(line, word) {
                complain(index, "`\(word)`: \(instead)")
            }
        }
    }

    private static func checkPurity(_ target: String, _ source: SourceText, _ complain: (Int?, String) -> Void) {
        for (index, line) in source.code.enumerated() {
            if let module = imported(line), pureTargets[target]?.contains(module) != true {
                complain(index, "\(target) is pure and cannot import \(module)")
            }
            for (word, instead) in impureWords where contains(line, word) {
                complain(index, "`\(word)` in \(target), which is pure: \(instead)")
            }
        }
    }

    private static func pureTarget(_ path: String) -> String? {
        let parts = path.split(separator: "/").map(String.init)
        guard parts.count > 2, parts[0] == "Sources", pureTargets[parts[1]] != nil else { return nil }
        return parts[1]
    }

    private static func imported(_ line: String) -> String? {
        let words = line.split(separator: " ")
        guard let keyword = words.firstIndex(of: "import"), words.count > keyword + 1 else { return nil }
        let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
        let name = kinds.contains(words[keyword + 1]) ? words.dropFirst(keyword + 2).first : words[keyword + 1]
        return name?.split(separator: ".").first.map(String.init)
    }

    /// The name of the type that begins on this line.
    private static func declaredType(_ line: String) -> String? {
        let words = line.split(whereSeparator: { !$0.isLetter && !$0.isNumber && $0 != "_" && $0 != "@" })
        let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "actor", "typealias"]
        guard let kind = words.firstIndex(where: kinds.contains), words.count > kind + 1 else { return nil }
        return String(words[kind + 1])
    }

    /// Whether the comment right above a line, past attributes, holds `// SAFETY:`.
    private static func isJustified(_ index: Int, _ source: SourceText) -> Bool {
        for line in source.lines[..<index].reversed() {
            let trimmed = line.drop(while: { $0 == " " })
            if trimmed.hasPrefix("// SAFETY:") { return true }
            guard trimmed.hasPrefix("//") || trimmed.hasPrefix("@") else { return false }
        }
        return false
    }

    /// Whether `word` stands in `line` as a word of its own: `asynchronous` is not `async`.
    static func contains(_ line: String, _ word: String) -> Bool {
        func isLetter(_ character: Character?) -> Bool {
            character.map { $0.isLetter || $0.isNumber || $0 == "_" } ?? false
        }
        var rest = Substring(line)
        while let range = rest.firstRange(of: word) {
            let before = range.lowerBound > line.startIndex ? line[line.index(before: range.lowerBound)] : nil
            let after = range.upperBound < line.endIndex ? line[range.upperBound] : nil
            let opens = !isLetter(word.first) || !isLetter(before)
            let closes = !isLetter(word.last) || !isLetter(after)
            if opens && closes { return true }
            rest = line[line.index(after: range.lowerBound)...]
        }
        return false
    }
}
