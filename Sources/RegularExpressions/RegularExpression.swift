// SPDX-License-Identifier: Apache-2.0

/// A regular expression in RE2's syntax, matched in time linear in the text whatever the pattern.
///
/// The syntax is that of RE2/J, in which users of the Java client write their `SubscriptionPattern`s: Perl's operators,
/// classes, lazy repetition and flags, without backreferences and lookaround, which no automaton can follow. Of
/// Unicode's properties the general categories are known, the scripts are not.
///
/// A pattern costs at most ``maximumProgramSize`` instructions, checked before the program is built.
/// Source: R. Cox, "Regular Expression Matching: the Virtual Machine Approach"; RE2, "Syntax".
public struct RegularExpression: Sendable {
    /// Instructions of one program, at most. Each costs one step per character of the text at worst.
    public static let maximumProgramSize = 16_384
    /// UTF-8 bytes of a pattern, at most.
    public static let maximumPatternLength = 32_768
    /// Groups within groups, at most.
    public static let maximumDepth = 250
    /// The largest count of `{n,m}`, also multiplied over nested repetitions, as in RE2.
    public static let maximumRepetition = 1_000

    /// The pattern as it was written.
    public let pattern: String
    let program: Program

    /// Compiles a pattern.
    ///
    /// - Complexity: linear in the pattern and in the size of its program.
    /// - Throws: ``RegularExpressionError``, with the part of the pattern that is at fault.
    public init(_ pattern: String) throws(RegularExpressionError) {
        guard pattern.utf8.count <= Self.maximumPatternLength else {
            throw RegularExpressionError(
                "pattern of \(pattern.utf8.count) bytes; the limit is \(Self.maximumPatternLength)")
        }
        self.pattern = pattern
        var parser = PatternParser(pattern)
        program = Program(try parser.parse())
    }

    /// Whether the whole of `text` matches.
    ///
    /// - Complexity: O(length of `text` × size of the program). For many texts keep one ``Matcher``.
    public func matchesWhole(_ text: String) -> Bool {
        var matcher = Matcher(self)
        return matcher.matchesWhole(text)
    }

    /// One expression with the memory that matching needs, kept from text to text.
    public struct Matcher: Sendable {
        private let program: Program
        private var current: ThreadSet
        private var following: ThreadSet
        private var pending: [Int32] = []
        /// Steps of the automaton so far: a measure of work that does not depend on the machine.
        public private(set) var steps = 0

        public init(_ expression: RegularExpression) {
            program = expression.program
            current = ThreadSet(capacity: program.instructions.count)
            following = ThreadSet(capacity: program.instructions.count)
        }

        /// Whether the whole of `text` matches.
        ///
        /// - Complexity: O(length of `text` × size of the program).
        public mutating func matchesWhole(_ text: String) -> Bool {
            current.removeAll()
            var before: Unicode.Scalar?
            var scalars = text.unicodeScalars.makeIterator()
            var scalar = scalars.next()
            add(program.start, between: before, and: scalar)
            while let read = scalar {
                guard !current.isEmpty else { return false }
                let next = scalars.next()
                step(over: read, next: next)
                before = read
                scalar = next
            }
            return current.contains(program.match)
        }

        private mutating func step(over scalar: Unicode.Scalar, next: Unicode.Scalar?) {
            swap(&current, &following)
            current.removeAll()
            for place in 0..<following.count {
                steps += 1
                guard case .consume(let set, let target) = program.instructions[Int(following[place])] else { continue }
                if program.classes[Int(set)].contains(scalar) { add(target, between: scalar, and: next) }
            }
        }

        /// Adds a thread and all that it reaches without reading; each instruction once a character.
        private mutating func add(_ first: Int32, between before: Unicode.Scalar?, and after: Unicode.Scalar?) {
            pending.append(first)
            while let index = pending.popLast() {
                guard current.insert(index) else { continue }
                steps += 1
                switch program.instructions[Int(index)] {
                case .consume, .match: break
                case .jump(let target): pending.append(target)
                case .split(let one, let other):
                    pending.append(other)
                    pending.append(one)
                case .assert(let assertion, let target):
                    if assertion.holds(between: before, and: after) { pending.append(target) }
                }
            }
        }
    }
}

/// Why a pattern is no regular expression.
public struct RegularExpressionError: Error, Hashable, Sendable {
    public let reason: String

    public init(_ reason: String) { self.reason = reason }
}

/// A set of instructions with constant-time insertion, lookup and clearing (Briggs and Torczon, 1993).
private struct ThreadSet: Sendable {
    private var dense: [Int32]
    private var sparse: [Int32]
    private(set) var count = 0

    init(capacity: Int) {
        dense = Array(repeating: 0, count: capacity)
        sparse = dense
    }

    var isEmpty: Bool { count == 0 }

    subscript(place: Int) -> Int32 { dense[place] }

    func contains(_ element: Int32) -> Bool {
        let place = Int(sparse[Int(element)])
        return place < count && dense[place] == element
    }

    /// Returns whether the element is new.
    mutating func insert(_ element: Int32) -> Bool {
        guard !contains(element) else { return false }
        dense[count] = element
        sparse[Int(element)] = Int32(count)
        count += 1
        return true
    }

    mutating func removeAll() { count = 0 }
}
