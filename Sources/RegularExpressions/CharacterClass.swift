// SPDX-License-Identifier: Apache-2.0

/// A set of characters: a union of parts, perhaps turned round, perhaps without regard to case.
struct CharacterClass: Hashable, Sendable {
    /// Part of a class. Each is turned round by itself, because case is folded before that: `(?i)[\W]` has no `k`,
    /// although it has, without regard to case, U+212A, which is a `k`.
    struct Part: Hashable, Sendable {
        enum Members: Hashable, Sendable {
            /// In ascending order, disjoint.
            case ranges([ClosedRange<UInt32>])
            /// One bit for each of Unicode's general categories.
            case categories(UInt32)
        }

        let members: Members
        let negated: Bool

        fileprivate func contains(_ scalar: Unicode.Scalar) -> Bool {
            switch members {
            case .ranges(let ranges): Self.contains(scalar.value, in: ranges)
            case .categories(let mask): mask & UnicodeCategories.bit(of: scalar) != 0
            }
        }

        private static func contains(_ value: UInt32, in ranges: [ClosedRange<UInt32>]) -> Bool {
            var low = 0
            var high = ranges.count
            while low < high {
                let middle = (low + high) / 2
                if ranges[middle].upperBound < value { low = middle + 1 } else { high = middle }
            }
            return low < ranges.count && ranges[low].lowerBound <= value
        }
    }

    private let parts: [Part]
    private let negated: Bool
    private let folded: Bool
    /// The answers for ASCII, which is most of what is ever asked.
    private var asciiLow: UInt64 = 0
    private var asciiHigh: UInt64 = 0

    init(_ parts: [Part], negated: Bool = false, folded: Bool) {
        self.parts = parts
        self.negated = negated
        self.folded = folded
        for value in UInt8(0)..<128 where computed(Unicode.Scalar(value)) {
            if value < 64 { asciiLow |= 1 << UInt64(value) } else { asciiHigh |= 1 << UInt64(value - 64) }
        }
    }

    static func literal(_ scalar: Unicode.Scalar, folded: Bool) -> Self {
        Self([Part(members: .ranges([scalar.value...scalar.value]), negated: false)], folded: folded)
    }

    /// Any character, `\n` only if `newline`.
    static func any(newline: Bool) -> Self {
        let ranges: [ClosedRange<UInt32>] = newline ? [0...0x10FFFF] : [0...9, 11...0x10FFFF]
        return Self([Part(members: .ranges(ranges), negated: false)], folded: false)
    }

    func contains(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<64: asciiLow & (1 << UInt64(scalar.value)) != 0
        case 64..<128: asciiHigh & (1 << UInt64(scalar.value - 64)) != 0
        default: computed(scalar)
        }
    }

    private func computed(_ scalar: Unicode.Scalar) -> Bool {
        let forms = folded ? CaseFolding.forms(of: scalar) : [scalar]
        let member = parts.contains { part in part.negated != forms.contains(where: part.contains) }
        return member != negated
    }
}

extension CharacterClass.Part {
    init(_ ranges: [ClosedRange<UInt32>], negated: Bool = false) {
        var sorted: [ClosedRange<UInt32>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = sorted.last, range.lowerBound <= last.upperBound &+ 1 {
                sorted[sorted.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                sorted.append(range)
            }
        }
        self.init(members: .ranges(sorted), negated: negated)
    }

    private init(_ ranges: [(Unicode.Scalar, Unicode.Scalar)], negated: Bool) {
        self.init(ranges.map { $0.0.value...$0.1.value }, negated: negated)
    }

    /// `\d`, `\s`, `\w` and their capitals, which are ASCII's in RE2; nil for another letter.
    init?(perl letter: Unicode.Scalar) {
        switch letter {
        case "d", "D": self.init([("0", "9")], negated: letter == "D")
        case "s", "S": self.init([("\t", "\n"), ("\u{C}", "\r"), (" ", " ")], negated: letter == "S")
        case "w", "W": self.init([("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z")], negated: letter == "W")
        default: return nil
        }
    }

    /// `[:alpha:]` and the other classes of POSIX; nil for another name.
    init?(posix name: String, negated: Bool) {
        switch name {
        case "alnum": self.init([("0", "9"), ("A", "Z"), ("a", "z")], negated: negated)
        case "alpha": self.init([("A", "Z"), ("a", "z")], negated: negated)
        case "ascii": self.init([("\0", "\u{7F}")], negated: negated)
        case "blank": self.init([("\t", "\t"), (" ", " ")], negated: negated)
        case "cntrl": self.init([("\0", "\u{1F}"), ("\u{7F}", "\u{7F}")], negated: negated)
        case "digit": self.init([("0", "9")], negated: negated)
        case "graph": self.init([("!", "~")], negated: negated)
        case "lower": self.init([("a", "z")], negated: negated)
        case "print": self.init([(" ", "~")], negated: negated)
        case "punct": self.init([("!", "/"), (":", "@"), ("[", "`"), ("{", "~")], negated: negated)
        case "space": self.init([("\t", "\r"), (" ", " ")], negated: negated)
        case "upper": self.init([("A", "Z")], negated: negated)
        case "word": self.init([("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z")], negated: negated)
        case "xdigit": self.init([("0", "9"), ("A", "F"), ("a", "f")], negated: negated)
        default: return nil
        }
    }

    /// `\p{L}`, `\p{Lu}` and the other general categories, and `Any`; nil for another name.
    init?(unicode name: String, negated: Bool) {
        if name == "Any" {
            self.init([0...0x10FFFF], negated: negated)
        } else if let mask = UnicodeCategories.mask(name) {
            self.init(members: .categories(mask), negated: negated)
        } else {
            return nil
        }
    }
}

private enum UnicodeCategories {
    private static let names = [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
        "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co",
    ]

    /// The categories named so, or, by one letter, those whose names begin with it.
    static func mask(_ name: String) -> UInt32? {
        var mask: UInt32 = 0
        for (place, category) in names.enumerated() where category == name || category.prefix(1) == name {
            mask |= 1 << UInt32(place)
        }
        return mask == 0 ? nil : mask
    }

    static func bit(of scalar: Unicode.Scalar) -> UInt32 {
        guard let place = place(of: scalar.properties.generalCategory) else { return 0 }
        return 1 << UInt32(place)
    }

    // One case for each name above, in their order.
    private static func place(of category: Unicode.GeneralCategory) -> Int? {
        switch category {
        case .uppercaseLetter: 0
        case .lowercaseLetter: 1
        case .titlecaseLetter: 2
        case .modifierLetter: 3
        case .otherLetter: 4
        case .nonspacingMark: 5
        case .spacingMark: 6
        case .enclosingMark: 7
        case .decimalNumber: 8
        case .letterNumber: 9
        case .otherNumber: 10
        case .connectorPunctuation: 11
        case .dashPunctuation: 12
        case .openPunctuation: 13
        case .closePunctuation: 14
        case .initialPunctuation: 15
        case .finalPunctuation: 16
        case .otherPunctuation: 17
        case .mathSymbol: 18
        case .currencySymbol: 19
        case .modifierSymbol: 20
        case .otherSymbol: 21
        case .spaceSeparator: 22
        case .lineSeparator: 23
        case .paragraphSeparator: 24
        case .control: 25
        case .format: 26
        case .surrogate: 27
        case .privateUse: 28
        case .unassigned: nil
        @unknown default: nil
        }
    }
}

enum CaseFolding {
    /// All characters that are this one without regard to case, by Unicode's one-to-one mappings.
    static func forms(of scalar: Unicode.Scalar) -> [Unicode.Scalar] {
        var forms = [scalar]
        var read = 0
        while read < forms.count {
            let properties = forms[read].properties
            read += 1
            for mapping in [properties.lowercaseMapping, properties.uppercaseMapping] {
                guard mapping.unicodeScalars.count == 1, let other = mapping.unicodeScalars.first,
                    !forms.contains(other)
                else { continue }
                forms.append(other)
            }
        }
        // The two characters beyond ASCII that fold into it: the signs of the kelvin and of the long s.
        if forms.contains("k"), !forms.contains("\u{212A}") { forms.append("\u{212A}") }
        if forms.contains("s"), !forms.contains("\u{17F}") { forms.append("\u{17F}") }
        return forms
    }
}
