// SPDX-License-Identifier: Apache-2.0

/// A condition on a place between two characters.
enum Assertion: Hashable, Sendable {
    case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary

    func holds(between before: Unicode.Scalar?, and after: Unicode.Scalar?) -> Bool {
        switch self {
        case .textStart: before == nil
        case .textEnd: after == nil
        case .lineStart: before == nil || before == "\n"
        case .lineEnd: after == nil || after == "\n"
        case .wordBoundary: Self.isWord(before) != Self.isWord(after)
        case .noWordBoundary: Self.isWord(before) == Self.isWord(after)
        }
    }

    /// RE2's word characters are ASCII's.
    private static func isWord(_ scalar: Unicode.Scalar?) -> Bool {
        scalar.map(CharacterClass.isWord) ?? false
    }
}

/// A parsed pattern. Whether a repetition is lazy, and where groups begin, is left out: a match of the whole text does
/// not depend on it.
struct Expression: Sendable {
    indirect enum Kind: Sendable {
        case empty
        case one(CharacterClass)
        case assertion(Assertion)
        case sequence([Expression])
        case alternatives([Expression])
        /// `maximum` nil: without end.
        case repetition(Expression, minimum: Int, maximum: Int?)
    }

    let kind: Kind
    /// Instructions this becomes. Bounded: whoever builds an expression refuses what is larger than a program may be.
    let size: Int
    /// The largest product of the counts of `{n,m}` nested in this.
    let repetitions: Int

    static let empty = Expression(kind: .empty, size: 0, repetitions: 1)

    static func one(_ set: CharacterClass) -> Self { Self(kind: .one(set), size: 1, repetitions: 1) }

    static func assertion(_ assertion: Assertion) -> Self {
        Self(kind: .assertion(assertion), size: 1, repetitions: 1)
    }

    static func sequence(_ parts: [Expression]) throws(RegularExpressionError) -> Self {
        if parts.count == 1 { return parts[0] }
        return try joined(.sequence(parts), parts, more: 0)
    }

    static func alternatives(_ parts: [Expression]) throws(RegularExpressionError) -> Self {
        if parts.count == 1 { return parts[0] }
        return try joined(.alternatives(parts), parts, more: 2 * (parts.count - 1))
    }

    static func repetition(
        _ part: Expression, minimum: Int, maximum: Int?, counted: Bool
    ) throws(RegularExpressionError) -> Self {
        let copies = max(maximum ?? (minimum + 1), 1)
        let size = copies * (part.size + 2)
        try check(size)
        let count = counted ? max(maximum ?? minimum, 1) : 1
        return Self(
            kind: .repetition(part, minimum: minimum, maximum: maximum), size: size,
            repetitions: count * part.repetitions)
    }

    private static func joined(
        _ kind: Kind, _ parts: [Expression], more: Int
    ) throws(RegularExpressionError) -> Self {
        var size = more
        var repetitions = 1
        for part in parts {
            size += part.size
            repetitions = max(repetitions, part.repetitions)
        }
        try check(size)
        return Self(kind: kind, size: size, repetitions: repetitions)
    }

    private static func check(_ size: Int) throws(RegularExpressionError) {
        // One more for `match`.
        guard size < RegularExpression.maximumProgramSize else {
            throw RegularExpressionError(
                "expression too large: more than \(RegularExpression.maximumProgramSize) instructions")
        }
    }
}

/// The instructions of an automaton without backtracking.
struct Program: Sendable {
    enum Instruction: Hashable, Sendable {
        case consume(class: Int32, next: Int32)
        case split(Int32, Int32)
        case jump(Int32)
        case assert(Assertion, next: Int32)
        case match
    }

    private(set) var instructions: [Instruction] = []
    private(set) var classes: [CharacterClass] = []
    private(set) var start: Int32 = 0
    private(set) var match: Int32 = 0
    private var placeOfClass: [CharacterClass: Int32] = [:]

    init(_ expression: Expression) {
        instructions.reserveCapacity(expression.size + 1)
        match = append(.match)
        start = emit(expression, then: match)
        placeOfClass = [:]
    }

    private mutating func append(_ instruction: Instruction) -> Int32 {
        instructions.append(instruction)
        return Int32(instructions.count - 1)
    }

    private mutating func place(of set: CharacterClass) -> Int32 {
        if let known = placeOfClass[set] { return known }
        classes.append(set)
        placeOfClass[set] = Int32(classes.count - 1)
        return Int32(classes.count - 1)
    }

    /// Emits backwards, from what follows, and returns where the expression begins.
    private mutating func emit(_ expression: Expression, then next: Int32) -> Int32 {
        switch expression.kind {
        case .empty: return next
        case .one(let set): return append(.consume(class: place(of: set), next: next))
        case .assertion(let assertion): return append(.assert(assertion, next: next))
        case .sequence(let parts):
            var next = next
            for part in parts.reversed() { next = emit(part, then: next) }
            return next
        case .alternatives(let parts):
            var entry = emit(parts[parts.count - 1], then: next)
            for part in parts.dropLast().reversed() { entry = append(.split(emit(part, then: next), entry)) }
            return entry
        case .repetition(let part, let minimum, let maximum):
            return emitRepetition(of: part, minimum, maximum, then: next)
        }
    }

    private mutating func emitRepetition(
        of part: Expression, _ minimum: Int, _ maximum: Int?, then next: Int32
    ) -> Int32 {
        var entry = next
        if let maximum {
            for _ in minimum..<maximum { entry = append(.split(emit(part, then: entry), next)) }
        } else {
            // The loop's split comes before its body, which jumps back to it.
            let loop = append(.jump(next))
            instructions[Int(loop)] = .split(emit(part, then: loop), next)
            entry = loop
        }
        for _ in 0..<minimum { entry = emit(part, then: entry) }
        return entry
    }
}
