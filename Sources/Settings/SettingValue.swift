// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// A value that an operator writes as text: `1500ms`, `64MiB`, `127.0.0.1:9092`.
public protocol SettingValue: Hashable, Sendable {
    /// What a legal text looks like, for complaints and tables: "a duration such as 500ms, 10s or 7d".
    static var form: String { get }
    /// Whether a file may also write it as a sequence.
    static var isList: Bool { get }
    /// `nil` when `text` is not of the form.
    init?(setting text: String)
    /// The shortest text that reads back as this value.
    var settingText: String { get }
}

extension SettingValue {
    public static var isList: Bool { false }
}

extension Int: SettingValue {
    public static var form: String { "a whole number" }

    public init?(setting text: String) { self.init(text) }

    public var settingText: String { "\(self)" }
}

extension Bool: SettingValue {
    public static var form: String { "true or false" }

    public init?(setting text: String) {
        switch text {
        case "true", "yes", "on": self = true
        case "false", "no", "off": self = false
        default: return nil
        }
    }

    public var settingText: String { self ? "true" : "false" }
}

extension String: SettingValue {
    public static var form: String { "a text" }

    public init?(setting text: String) { self = text }

    public var settingText: String { self }
}

/// Absent when the text is empty.
extension Optional: SettingValue where Wrapped: SettingValue {
    public static var form: String { Wrapped.form }

    public init?(setting text: String) {
        if text.isEmpty {
            self = .none
        } else if let value = Wrapped(setting: text) {
            self = .some(value)
        } else {
            return nil
        }
    }

    public var settingText: String { self?.settingText ?? "" }
}

/// Items between commas. An empty text is the empty list.
extension Array: SettingValue where Element: SettingValue {
    public static var form: String { "a list of: \(Element.form)" }
    public static var isList: Bool { true }

    public init?(setting text: String) {
        self = []
        guard !text.isEmpty else { return }
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let element = Element(setting: item.trimmed) else { return nil }
            append(element)
        }
    }

    public var settingText: String { map(\.settingText).joined(separator: ",") }
}

extension NodeID: SettingValue {
    public static var form: String { "a node id, a whole number from 0" }

    public init?(setting text: String) {
        guard let number = Int32(text), number >= 0 else { return nil }
        self.init(number)
    }

    public var settingText: String { "\(rawValue)" }
}

extension Duration: SettingValue {
    public static var form: String { "a duration such as 500ms, 10s, 5m, 12h or 7d" }

    private static let units: [(suffix: String, nanoseconds: Int64)] = [
        ("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000),
        ("h", 3_600_000_000_000), ("d", 86_400_000_000_000),
    ]

    /// A number without a unit is refused: nobody agrees on whether it means milliseconds.
    public init?(setting text: String) {
        guard let (number, suffix) = text.numberAndUnit else { return nil }
        guard let unit = Self.units.first(where: { $0.suffix == suffix }) else { return nil }
        let (nanoseconds, overflow) = number.multipliedReportingOverflow(by: unit.nanoseconds)
        guard !overflow else { return nil }
        self = .nanoseconds(nanoseconds)
    }

    public var settingText: String {
        let total = wholeNanoseconds
        for unit in Self.units.reversed() where total > 0 && total.isMultiple(of: UInt64(unit.nanoseconds)) {
            return "\(total / UInt64(unit.nanoseconds))\(unit.suffix)"
        }
        return "0s"
    }

    /// The length in nanoseconds, as `Moment` counts; 0 for a negative length, clipped at `UInt64.max`.
    public var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carried) = whole.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
        return overflow || carried ? .max : sum
    }

    /// The length in milliseconds, rounded down, as Kafka's messages count.
    public var wholeMilliseconds: Int64 { Int64(wholeNanoseconds / 1_000_000) }
}

extension ByteCount: SettingValue {
    public static var form: String { "a size such as 4096, 64KiB, 16MiB or 1GB" }

    private static let units: [(suffix: String, bytes: Int64)] = [
        ("", 1), ("B", 1), ("kB", 1_000), ("KB", 1_000), ("KiB", 1 << 10), ("MB", 1_000_000), ("MiB", 1 << 20),
        ("GB", 1_000_000_000), ("GiB", 1 << 30), ("TB", 1_000_000_000_000), ("TiB", 1 << 40),
    ]

    public init?(setting text: String) {
        guard let (number, suffix) = text.numberAndUnit else { return nil }
        guard let unit = Self.units.first(where: { $0.suffix == suffix }) else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit.bytes)
        guard !overflow else { return nil }
        self.init(bytes)
    }

    public var settingText: String {
        for (suffix, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            let unit = Int64(1) << Int64(shift)
            if rawValue >= unit, rawValue.isMultiple(of: unit) { return "\(rawValue / unit)\(suffix)" }
        }
        return "\(rawValue)"
    }
}

extension StringProtocol {
    /// Without spaces and tabs at both ends.
    var trimmed: String {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        return String(drop(while: isBlank).reversed().drop(while: isBlank).reversed())
    }

    /// `10s` → (10, "s"). At least one digit, no sign, at most one run of spaces before the unit.
    fileprivate var numberAndUnit: (number: Int64, unit: String)? {
        let digits = prefix { $0.isASCII && $0.isNumber }
        guard let number = Int64(digits) else { return nil }
        return (number, dropFirst(digits.count).trimmed)
    }
}
