// SPDX-License-Identifier: Apache-2.0

import RegularExpressions
import Testing

/// Random expressions, written down and read back, against a matcher that tries every way.
@Suite struct OracleTests {
    private indirect enum Tree {
        case literal(Character), any, set([Character], negated: Bool), textStart, textEnd
        case sequence([Tree]), alternatives([Tree]), repetition(Tree, Int, Int?, written: String)

        var text: String {
            switch self {
            case .literal(let character): String(character)
            case .any: "."
            case .set(let members, let negated): "[" + (negated ? "^" : "") + String(members) + "]"
            case .textStart: "^"
            case .textEnd: "$"
            case .sequence(let parts): parts.map(\.text).joined()
            case .alternatives(let parts): "(?:" + parts.map(\.text).joined(separator: "|") + ")"
            case .repetition(let part, _, _, let written): "(" + part.text + ")" + written
            }
        }

        /// Where a match that begins at `start` may end.
        func ends(_ text: [Character], from start: Int) -> Set<Int> {
            func one(_ holds: Bool) -> Set<Int> { holds ? [start + 1] : [] }
            let next = start < text.count ? text[start] : nil
            switch self {
            case .literal(let character): return one(next == character)
            case .any: return one(next != nil)
            case .set(let members, let negated): return one(next.map { members.contains($0) != negated } ?? false)
            case .textStart: return start == 0 ? [0] : []
            case .textEnd: return start == text.count ? [start] : []
            case .sequence(let parts):
                return parts.reduce([start]) { places, part in
                    places.reduce(into: Set()) { $0.formUnion(part.ends(text, from: $1)) }
                }
            case .alternatives(let parts):
                return parts.reduce(into: Set()) { $0.formUnion($1.ends(text, from: start)) }
            case .repetition(let part, let minimum, let maximum, _):
                var found: Set<Int> = minimum == 0 ? [start] : []
                var places: Set<Int> = [start]
                // More rounds than characters and required rounds reach nothing new.
                for round in 1...max(1, min(maximum ?? .max, minimum + text.count + 1)) where maximum != 0 {
                    places = places.reduce(into: Set()) { $0.formUnion(part.ends(text, from: $1)) }
                    if round >= minimum { found.formUnion(places) }
                }
                return found
            }
        }
    }

    private struct Growth {
        var random: SeededRandom

        mutating func tree(depth: Int) -> Tree {
            switch Int.random(in: 0..<(depth == 0 ? 6 : 10), using: &random) {
            case 0...2: return .literal(letter())
            case 3: return .any
            case 4: return .set([letter(), letter()], negated: Bool.random(using: &random))
            case 5: return Bool.random(using: &random) ? .textStart : .textEnd
            case 6:
                return .alternatives((0..<Int.random(in: 1...3, using: &random)).map { _ in tree(depth: depth - 1) })
            case 7, 8: return .sequence((0..<Int.random(in: 0...3, using: &random)).map { _ in tree(depth: depth - 1) })
            default:
                let minimum = Int.random(in: 0...2, using: &random)
                let maximum = minimum + Int.random(in: 0...2, using: &random)
                let lazy = Bool.random(using: &random) ? "?" : ""
                let part = tree(depth: depth - 1)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: return .repetition(part, 0, nil, written: "*" + lazy)
                case 1: return .repetition(part, 1, nil, written: "+" + lazy)
                case 2: return .repetition(part, 0, 1, written: "?" + lazy)
                case 3: return .repetition(part, minimum, nil, written: "{\(minimum),}" + lazy)
                default: return .repetition(part, minimum, maximum, written: "{\(minimum),\(maximum)}" + lazy)
                }
            }
        }

        private mutating func trees(_ count: ClosedRange<Int>, depth: Int) -> [Tree] {
            (0..<Int.random(in: count, using: &random)).map { _ in tree(depth: depth) }
        }

        mutating func letter() -> Character { "abc".randomElement(using: &random) ?? "a" }
        mutating func text() -> [Character] { (0..<Int.random(in: 0...7, using: &random)).map { _ in letter() } }
    }

    @Test(arguments: 0..<20) func agreesWithAMatcherThatTriesEveryWay(seed: UInt64) throws {
        var growth = Growth(random: SeededRandom(state: seed))
        var matched = 0
        for _ in 0..<150 {
            let tree = growth.tree(depth: 4)
            var matcher = RegularExpression.Matcher(try RegularExpression(tree.text))
            for _ in 0..<8 {
                let text = growth.text()
                let expected = tree.ends(text, from: 0).contains(text.count)
                #expect(matcher.matchesWhole(String(text)) == expected, "\(tree.text) on \(String(text))")
                matched += expected ? 1 : 0
            }
        }
        #expect(matched > 50)
    }

    @Test(arguments: 0..<20) func anyStringIsAPatternOrIsRefused(seed: UInt64) {
        var random = SeededRandom(state: seed)
        let alphabet = Array("ab01()[]{}*+?|\\^$.,:-<>PQEipdwxzWs&é\n=!U")
        for _ in 0..<1_000 {
            let pattern = String(
                (0..<Int.random(in: 0...14, using: &random)).map { _ in
                    alphabet.randomElement(using: &random) ?? "a"
                })
            guard let expression = try? RegularExpression(pattern) else { continue }
            _ = expression.matchesWhole("ab-01")
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
private struct SeededRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
