// SPDX-License-Identifier: Apache-2.0

/// Reads a pattern. Recursion goes one level deeper per group, and no deeper than
/// ``RegularExpression/maximumDepth``.
struct PatternParser {
    struct Flags {
        var foldsCase = false
        var multiline = false
        var dotMatchesNewline = false
    }

    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var flags = Flags()
    private var names: Set<String> = []

    init(_ pattern: String) { scalars = Array(pattern.unicodeScalars) }

    mutating func parse() throws(RegularExpressionError) -> Expression {
        let expression = try parseAlternatives(depth: 0)
        guard position == scalars.count else { throw fault("unexpected )", from: position, to: position + 1) }
        return expression
    }

    // MARK: Characters

    private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private func peek(_ ahead: Int) -> Unicode.Scalar? {
        position + ahead < scalars.count ? scalars[position + ahead] : nil
    }

    private mutating func take() -> Unicode.Scalar? {
        guard let scalar = next else { return nil }
        position += 1
        return scalar
    }

    private mutating func take(_ expected: Unicode.Scalar) -> Bool {
        guard next == expected else { return false }
        position += 1
        return true
    }

    private func starts(with text: String) -> Bool { scalars[position...].starts(with: text.unicodeScalars) }

    private mutating func take(_ text: String) -> Bool {
        guard starts(with: text) else { return false }
        position += text.unicodeScalars.count
        return true
    }

    private func text(from start: Int, to end: Int) -> String {
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars[start..<min(end, scalars.count)])
        return text
    }

    private func fault(_ reason: String, from start: Int, to end: Int? = nil) -> RegularExpressionError {
        RegularExpressionError("\(reason): `\(text(from: start, to: min(end ?? position, start + 100)))`")
    }

    // MARK: Structure

    private mutating func parseAlternatives(depth: Int) throws(RegularExpressionError) -> Expression {
        guard depth <= RegularExpression.maximumDepth else {
            throw RegularExpressionError("groups nested more than \(RegularExpression.maximumDepth) deep")
        }
        var alternatives: [Expression] = []
        repeat {
            alternatives.append(try parseSequence(depth: depth))
        } while take("|" as Unicode.Scalar)
        return try .alternatives(alternatives)
    }

    private mutating func parseSequence(depth: Int) throws(RegularExpressionError) -> Expression {
        var parts: [Expression] = []
        while let scalar = next, scalar != "|", scalar != ")" {
            let start = position
            if take("\\Q") {
                while position < scalars.count, !take("\\E") { parts.append(literal(scalars[position])) }
            } else if let (minimum, maximum, counted) = try parseRepetition() {
                try applyRepetition(from: start, minimum, maximum, counted, to: &parts)
            } else if let part = try parseAtom(depth: depth) {
                parts.append(part)
            }
        }
        guard !parts.isEmpty else { return .empty }
        return try .sequence(parts)
    }

    private mutating func literal(_ scalar: Unicode.Scalar) -> Expression {
        position += 1
        return .one(.literal(scalar, folded: flags.foldsCase))
    }

    private mutating func applyRepetition(
        from start: Int, _ minimum: Int, _ maximum: Int?, _ counted: Bool, to parts: inout [Expression]
    ) throws(RegularExpressionError) {
        guard let last = parts.popLast() else {
            throw fault("missing argument to repetition operator", from: start)
        }
        _ = take("?" as Unicode.Scalar)
        let operatorEnd = position
        if try parseRepetition() != nil { throw fault("invalid nested repetition operator", from: start) }
        position = operatorEnd
        let repeated = try Expression.repetition(last, minimum: minimum, maximum: maximum, counted: counted)
        guard repeated.repetitions <= RegularExpression.maximumRepetition else {
            throw fault("invalid repeat count", from: start)
        }
        parts.append(repeated)
    }

    /// An operator of repetition, if one comes next. A brace that is no count is a character like any other.
    private mutating func parseRepetition() throws(RegularExpressionError) -> (Int, Int?, counted: Bool)? {
        if take("*" as Unicode.Scalar) { return (0, nil, false) }
        if take("+" as Unicode.Scalar) { return (1, nil, false) }
        if take("?" as Unicode.Scalar) { return (0, 1, false) }
        let start = position
        guard take("{" as Unicode.Scalar), let minimum = takeCount() else {
            position = start
            return nil
        }
        var maximum: Int? = minimum
        if take("," as Unicode.Scalar) {
            maximum = takeCount()
            if maximum == nil, next != "}" {
                position = start
                return nil
            }
        }
        guard take("}" as Unicode.Scalar) else {
            position = start
            return nil
        }
        guard max(minimum, maximum ?? 0) <= RegularExpression.maximumRepetition, minimum <= maximum ?? minimum else {
            throw fault("invalid repeat count", from: start)
        }
        return (minimum, maximum, true)
    }

    /// A decimal number, cut off above any allowed count; nil without one, or with a zero before it.
    private mutating func takeCount() -> Int? {
        let start = position
        var count = 0
        while let scalar = next, ("0"..."9").contains(scalar) {
            count = min(count * 10 + Int(scalar.value - 48), 100_000)
            position += 1
        }
        let digits = position - start
        return digits == 0 || digits > 1 && scalars[start] == "0" ? nil : count
    }

    /// One thing that can be repeated; nil if it was a change of flags.
    private mutating func parseAtom(depth: Int) throws(RegularExpressionError) -> Expression? {
        guard let scalar = next else { return nil }
        switch scalar {
        case "(": return try parseGroup(depth: depth)
        case "[": return .one(try parseClass())
        case "\\": return try parseEscape()
        case ".":
            position += 1
            return .one(.any(newline: flags.dotMatchesNewline))
        case "^":
            position += 1
            return .assertion(flags.multiline ? .lineStart : .textStart)
        case "$":
            position += 1
            return .assertion(flags.multiline ? .lineEnd : .textEnd)
        default: return literal(scalar)
        }
    }

    // MARK: Groups and flags

    private mutating func parseGroup(depth: Int) throws(RegularExpressionError) -> Expression? {
        let start = position
        let outer = flags
        position += 1
        if take("?" as Unicode.Scalar) {
            for (opening, what) in [("=", "lookahead"), ("!", "lookahead"), ("<=", "lookbehind"), ("<!", "lookbehind")]
            where starts(with: opening) {
                throw fault("\(what) is not supported", from: start, to: position + opening.utf8.count)
            }
            if starts(with: "P<") || starts(with: "<") {
                try parseName(groupStart: start)
            } else if try !parseFlags(groupStart: start) {
                return nil
            }
        }
        let inner = try parseAlternatives(depth: depth + 1)
        guard take(")" as Unicode.Scalar) else { throw fault("missing closing )", from: start, to: scalars.count) }
        flags = outer
        return inner
    }

    private mutating func parseName(groupStart: Int) throws(RegularExpressionError) {
        _ = take("P" as Unicode.Scalar)
        _ = take("<" as Unicode.Scalar)
        var name = ""
        while let scalar = take(), scalar != ">" {
            guard CharacterClass.isWord(scalar) else { throw fault("invalid named capture", from: groupStart) }
            name.unicodeScalars.append(scalar)
        }
        guard !name.isEmpty, scalars[position - 1] == ">" else {
            throw fault("invalid named capture", from: groupStart)
        }
        guard names.insert(name).inserted else { throw fault("duplicate name of a group", from: groupStart) }
    }

    /// Reads `i`, `m`, `s`, `U`, turned off after `-`. Returns whether a group begins; else they hold from here on.
    private mutating func parseFlags(groupStart: Int) throws(RegularExpressionError) -> Bool {
        var changed = flags
        var turnsOn = true
        var sawFlag = false
        while let scalar = take() {
            switch scalar {
            case "i": changed.foldsCase = turnsOn
            case "m": changed.multiline = turnsOn
            case "s": changed.dotMatchesNewline = turnsOn
            case "U": break  // Which repetitions are lazy does not matter to a match of the whole text.
            case "-" where turnsOn:
                turnsOn = false
                sawFlag = false
                continue
            case ":" where turnsOn || sawFlag, ")" where turnsOn || sawFlag:
                flags = changed
                return scalar == ":"
            default: throw fault("invalid or unsupported Perl syntax", from: groupStart)
            }
            sawFlag = true
        }
        throw fault("missing closing )", from: groupStart)
    }

    // MARK: Escapes

    private mutating func parseEscape() throws(RegularExpressionError) -> Expression {
        switch peek(1) {
        case "A": return assertion(.textStart)
        case "z": return assertion(.textEnd)
        case "b": return assertion(.wordBoundary)
        case "B": return assertion(.noWordBoundary)
        default: break
        }
        if let part = try parseNamedClass() { return .one(CharacterClass([part], folded: flags.foldsCase)) }
        return .one(.literal(try parseEscapedScalar(), folded: flags.foldsCase))
    }

    private mutating func assertion(_ assertion: Assertion) -> Expression {
        position += 2
        return .assertion(assertion)
    }

    /// `\d`, `\pL`, `\p{^Lu}` and the like; nil if something else comes next.
    private mutating func parseNamedClass() throws(RegularExpressionError) -> CharacterClass.Part? {
        guard next == "\\", let letter = peek(1) else { return nil }
        if let part = CharacterClass.Part(perl: letter) {
            position += 2
            return part
        }
        guard letter == "p" || letter == "P" else { return nil }
        let start = position
        position += 2
        var negated = letter == "P"
        var name = ""
        guard let first = take() else { throw fault("invalid character class range", from: start) }
        if first == "{" {
            if take("^" as Unicode.Scalar) { negated.toggle() }
            while let scalar = next, scalar != "}" {
                name.unicodeScalars.append(scalar)
                position += 1
            }
            guard take("}" as Unicode.Scalar) else { throw fault("invalid character class range", from: start) }
        } else {
            name.unicodeScalars.append(first)
        }
        guard let part = CharacterClass.Part(unicode: name, negated: negated) else {
            throw fault("unknown Unicode category (scripts are not supported)", from: start)
        }
        return part
    }

    private mutating func parseEscapedScalar() throws(RegularExpressionError) -> Unicode.Scalar {
        let start = position
        position += 1
        guard let letter = take() else { throw RegularExpressionError("trailing backslash at end of expression") }
        switch letter {
        case "1"..."7":
            guard let digit = next, ("0"..."7").contains(digit) else {
                throw fault("backreferences are not supported", from: start)
            }
            return takeOctal(letter.value - 48)
        case "8", "9": throw fault("backreferences are not supported", from: start)
        case "0": return takeOctal(0)
        case "x": return try takeHexadecimal(from: start)
        case "a": return "\u{7}"
        case "f": return "\u{C}"
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "v": return "\u{B}"
        default:
            guard letter.isASCII, letter == "_" || !CharacterClass.isWord(letter) else {
                throw fault("invalid escape sequence", from: start)
            }
            return letter
        }
    }

    /// Up to two more octal digits.
    private mutating func takeOctal(_ first: UInt32) -> Unicode.Scalar {
        var value = first
        for _ in 0..<2 {
            guard let digit = next, ("0"..."7").contains(digit) else { break }
            value = value * 8 + digit.value - 48
            position += 1
        }
        return Unicode.Scalar(value) ?? "\0"
    }

    /// `\x7F` or `\x{10FFFF}`.
    private mutating func takeHexadecimal(from start: Int) throws(RegularExpressionError) -> Unicode.Scalar {
        var value: UInt32 = 0
        var digits = 0
        let braced = take("{" as Unicode.Scalar)
        while digits < (braced ? 8 : 2), let scalar = next, let digit = Character(scalar).hexDigitValue, scalar.isASCII
        {
            value = value << 4 | UInt32(digit)
            digits += 1
            position += 1
        }
        guard braced ? digits > 0 && take("}" as Unicode.Scalar) : digits == 2, let scalar = Unicode.Scalar(value)
        else {
            throw fault("invalid escape sequence", from: start)
        }
        return scalar
    }

    // MARK: Classes

    private mutating func parseClass() throws(RegularExpressionError) -> CharacterClass {
        let start = position
        position += 1
        let negated = take("^" as Unicode.Scalar)
        var parts: [CharacterClass.Part] = []
        var ranges: [ClosedRange<UInt32>] = []
        var isFirst = true
        while isFirst || next != "]" {
            guard position < scalars.count else { throw fault("missing closing ]", from: start, to: scalars.count) }
            isFirst = false
            if let part = try parsePosixClass() {
                parts.append(part)
            } else if let part = try parseNamedClass() {
                parts.append(part)
            } else {
                ranges.append(try parseRange(classStart: start))
            }
        }
        position += 1
        parts.append(CharacterClass.Part(ranges))
        return CharacterClass(parts, negated: negated, folded: flags.foldsCase)
    }

    /// `[:name:]`; nil if something else comes next. Without its end it is no such class, but characters.
    private mutating func parsePosixClass() throws(RegularExpressionError) -> CharacterClass.Part? {
        guard starts(with: "[:") else { return nil }
        let start = position
        var end = position + 2
        while end + 1 < scalars.count, scalars[end] != ":" || scalars[end + 1] != "]" { end += 1 }
        guard end + 1 < scalars.count else { return nil }
        position = end + 2
        let negated = scalars[start + 2] == "^"
        guard
            let part = CharacterClass.Part(posix: text(from: start + (negated ? 3 : 2), to: end), negated: negated)
        else { throw fault("invalid character class range", from: start) }
        return part
    }

    private mutating func parseRange(classStart: Int) throws(RegularExpressionError) -> ClosedRange<UInt32> {
        let start = position
        let low = try parseClassScalar(classStart: classStart)
        // A minus before the end is itself.
        guard next == "-", let after = peek(1), after != "]" else { return low.value...low.value }
        position += 1
        let high = try parseClassScalar(classStart: classStart)
        guard low <= high else { throw fault("invalid character class range", from: start) }
        return low.value...high.value
    }

    private mutating func parseClassScalar(classStart: Int) throws(RegularExpressionError) -> Unicode.Scalar {
        if next == "\\" { return try parseEscapedScalar() }
        guard let scalar = take() else { throw fault("missing closing ]", from: classStart) }
        return scalar
    }
}

extension CharacterClass {
    static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "_": true
        default: false
        }
    }
}
