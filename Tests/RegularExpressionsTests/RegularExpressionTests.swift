// SPDX-License-Identifier: Apache-2.0

import RegularExpressions
import Testing

@Suite struct RegularExpressionTests {
    private func matches(_ pattern: String, _ text: String) throws -> Bool {
        try RegularExpression(pattern).matchesWhole(text)
    }

    @Test(arguments: [
        ("", ""), ("a", "a"), ("orders-.*", "orders-eu"), ("orders-.*", "orders-"), ("a|b|", ""), ("a|b|", "b"),
        ("(?:orders|payments)\\.v[0-9]+", "payments.v12"), ("a*", "aaaa"), ("a+?", "aaa"), ("a??", ""),
        ("a{3}", "aaa"), ("a{2,}", "aaaaa"), ("a{1,3}?", "aa"), ("a{0}", ""), ("(ab){2}", "abab"),
        ("a{,2}", "a{,2}"), ("a{", "a{"), ("a{x}", "a{x}"), ("a{01}", "a{01}"), ("]", "]"), ("}", "}"),
        ("[]a]+", "]a"), ("[^]a]", "b"), ("[a-]", "-"), ("[a-c-e]+", "b-e"), ("[\\d.]+", "1.2"), ("[\\]]", "]"),
        ("[[:alpha:]]+", "aZ"), ("[[:^alpha:]]", "1"), ("[[:word:]-]+", "a_-9"), ("[[:alpha]", ":"),
        ("\\d\\D\\s\\S\\w\\W", "1a b_-"), ("\\pL+", "aβ"), ("\\p{Lu}\\P{Lu}", "Aa"), ("\\p{^Nd}", "x"),
        ("\\p{Any}", "☃"), ("[\\p{Lu}0]+", "A0"), ("^a$", "a"), ("\\Aa\\z", "a"), ("a\\b-\\Bb?", "a-"),
        ("(?i)OrDers", "oRDERS"), ("(?i:a)b", "Ab"), ("(?i)a(?-i)b", "Ab"), ("((?i)a)b", "Ab"), ("(?i)[a-f]+", "AbF"),
        ("(?i)[^k]", "j"), ("(?s).", "\n"), ("(?-s).", "x"), ("(?m)a$\n^b", "a\nb"), ("(?U)a+", "aa"),
        ("(?P<name>a)", "a"), ("(?<name>a)", "a"), ("\\Qa.b*\\E+", "a.b**"), ("\\Q(", "("),
        ("\\x41\\x{42}\\103\\0", "ABC\0"), ("\\.\\-\\_\\\\\\/", ".-_\\/"),

        ("\\t\\n\\r\\f\\v\\a", "\t\n\r\u{C}\u{B}\u{7}"),
        ("(|a)*", "aa"), ("(a*)*", "aaa"), ("(a*)+", ""), ("^*a", "a"), ("a(?i)*", "aaa"), ("é", "é"), ("(?i)É", "é"),
        ("(?i)k", "\u{212A}"), ("()", ""), ("(?)a", "a"),
    ]) func matchesTheWholeText(pattern: String, text: String) throws {
        #expect(try matches(pattern, text))
    }

    @Test(arguments: [
        ("a", ""), ("a", "ab"), ("a", "ba"), ("orders-.*", "my-orders-eu"), (".", "\n"), ("a{3}", "aa"),
        ("a{1,3}", "aaaa"), ("[^a]", "a"), ("(?i)[^k]", "K"), ("(?i)\\W", "k"), ("\\d", "a"), ("\\w", "é"),
        ("\\d", "٣"), ("[[:alpha:]]", "é"), ("a^b", "ab"), ("a$b", "ab"), ("^a$", "a\n"), ("a\\bb", "ab"),
        ("(?i:a)b", "AB"), ("((?i)a)b", "AB"), ("[^\\x00-\\x{10FFFF}]", "a"), ("\\p{Lu}", "a"), ("a|b", "c"),
    ]) func refusesWhatIsNotTheWholeText(pattern: String, text: String) throws {
        #expect(try !matches(pattern, text))
    }

    @Test(arguments: [
        ("(", "missing closing )"), ("(a", "missing closing )"), (")", "unexpected )"), ("a)b", "unexpected )"),
        ("[a", "missing closing ]"), ("[]", "missing closing ]"), ("[z-a]", "invalid character class range"),
        ("[[:foo:]]", "invalid character class range"), ("[a-\\d]", "invalid escape sequence"),
        ("*", "missing argument to repetition operator"), ("|*", "missing argument to repetition operator"),
        ("(+)", "missing argument to repetition operator"), ("(?i)*", "missing argument to repetition operator"),
        ("a**", "invalid nested repetition operator"), ("a*+", "invalid nested repetition operator"),
        ("a{2}{3}", "invalid nested repetition operator"), ("a+??", "invalid nested repetition operator"),
        ("a{1001}", "invalid repeat count"), ("a{3,2}", "invalid repeat count"),
        ("a{99999999999999999999}", "invalid repeat count"), ("(a{100}){11}", "invalid repeat count"),
        ("\\", "trailing backslash"), ("\\8", "backreferences are not supported"),
        ("(a)\\1", "backreferences are not supported"), ("\\y", "invalid escape sequence"),
        ("\\Z", "invalid escape sequence"), ("\\xG", "invalid escape sequence"), ("\\x{110000}", "invalid escape"),
        ("\\x{D800}", "invalid escape"), ("\\é", "invalid escape sequence"),
        ("(?=a)", "lookahead is not supported"), ("(?!a)", "lookahead is not supported"),
        ("(?<=a)b", "lookbehind is not supported"), ("(?<!a)b", "lookbehind is not supported"),
        ("(?>a)", "invalid or unsupported Perl syntax"), ("(?z)", "invalid or unsupported Perl syntax"),
        ("(?i-)", "invalid or unsupported Perl syntax"), ("(?", "missing closing )"),
        ("(?P<>a)", "invalid named capture"), ("(?P<a", "invalid named capture"), ("(?<a-b>a)", "invalid named"),
        ("(?<n>a)(?<n>b)", "duplicate name"), ("\\pX", "unknown Unicode category"),
        ("\\p{Greek}", "scripts are not supported"), ("\\p{Lu", "invalid character class range"),
    ]) func aMalformedPatternIsRefusedWithTheReason(pattern: String, reason: String) {
        let error = #expect(throws: RegularExpressionError.self) { try RegularExpression(pattern) }
        #expect(error?.reason.contains(reason) == true, "\(error?.reason ?? "none")")
    }

    @Test func sizeAndDepthAreBoundedBeforeTheyAreBuilt() throws {
        let deep = String(repeating: "(", count: 250) + "a" + String(repeating: ")", count: 250)
        #expect(try matches(deep, "a"))
        for (pattern, reason) in [
            ("(" + deep + ")", "nested"), (String(repeating: "(", count: 30_000), "nested"),
            (String(repeating: "a", count: 32_769), "limit"), (String(repeating: "a{1000}", count: 20), "too large"),
            ("((a|b|c|d|e|f){10}){100}", "too large"),
        ] {
            let error = #expect(throws: RegularExpressionError.self) { try RegularExpression(pattern) }
            #expect(error?.reason.contains(reason) == true, "\(error?.reason ?? "none")")
        }
    }

    @Test(arguments: [
        "(a+)+$", "(a|a)*b", "(a|aa)+c", "(.*a){12}x", "(a*)*b", "(?:a?){30}a{30}b", "([a-z]+)*!", "(a?b?c?d?)*z",
    ]) func stepsGrowWithTheTextAndNoFaster(pattern: String) throws {
        var counts: [Int] = []
        for length in [1_000, 2_000, 4_000] {
            var matcher = RegularExpression.Matcher(try RegularExpression(pattern))
            _ = matcher.matchesWhole(String(repeating: "a", count: length) + "!")
            counts.append(matcher.steps)
        }
        // Twice the text is twice the work; what remains is the start.
        #expect(counts[2] <= 2 * counts[1] + 500, "\(counts)")
        #expect(counts[1] <= 2 * counts[0] + 500, "\(counts)")
        #expect(counts[2] < 4_001 * 200, "\(counts)")
    }

    @Test func aMatcherForgetsTheTextBefore() throws {
        var matcher = RegularExpression.Matcher(try RegularExpression("a(b|c)+"))
        let answers = ["abc", "", "ab", "b", "abca", "ac"].map { matcher.matchesWhole($0) }
        #expect(answers == [true, false, true, false, false, true])
    }
}
