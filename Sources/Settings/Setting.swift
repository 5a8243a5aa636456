// SPDX-License-Identifier: Apache-2.0

/// One thing an operator can set: its name, meaning, unit, bounds and cost of change, in one place.
///
/// The parser, the table of `--explain` and the check of bounds all read this value.
public struct Setting<Value: SettingValue>: Sendable {
    public let name: String
    public let summary: String
    /// What holds when nobody says otherwise.
    public let initial: Value
    /// Which values are legal, for people: `50ms to 1m`.
    public let boundsText: String
    public let change: SettingChange
    /// Whether a cluster's node cannot start without it. `godwit dev` needs none.
    public let isRequired: Bool
    private let isLegal: @Sendable (Value) -> Bool

    /// - Precondition: `initial` keeps the bounds.
    public init(
        _ name: String, _ summary: String, initial: Value, bounds: ClosedRange<Value>, change: SettingChange
    ) where Value: Comparable {
        let text = "\(bounds.lowerBound.settingText) to \(bounds.upperBound.settingText)"
        self.init(name, summary, initial: initial, legal: text, change: change) { bounds.contains($0) }
    }

    /// A setting whose legal values are no range; `legal` describes them.
    ///
    /// - Precondition: `initial` is legal.
    public init(
        _ name: String, _ summary: String, initial: Value, legal: String = Value.form, change: SettingChange,
        isRequired: Bool = false, isLegal: @escaping @Sendable (Value) -> Bool = { _ in true }
    ) {
        precondition(isLegal(initial), "\(name): the initial value breaks its own bounds")
        self.name = name
        self.summary = summary
        self.initial = initial
        self.boundsText = legal
        self.change = change
        self.isRequired = isRequired
        self.isLegal = isLegal
    }

    /// Reads a value as an operator wrote it.
    public func parse(_ text: String) throws(SettingError) -> Value {
        guard let value = Value(setting: text.trimmed) else {
            throw .unreadable(name, text: text, form: Value.form)
        }
        guard isLegal(value) else { throw .outOfBounds(name, text: text, bounds: boundsText) }
        return value
    }
}

/// What it costs to change a setting.
public enum SettingChange: String, Hashable, Sendable {
    /// The node restarts.
    case restart
    /// Every node must say the same, so all restart.
    case cluster
    /// The node would become another one: never change it once there is data.
    case never
}

/// Why a text is no value of a setting.
public enum SettingError: Error, Hashable, Sendable, CustomStringConvertible {
    case unreadable(String, text: String, form: String)
    case outOfBounds(String, text: String, bounds: String)

    public var description: String {
        switch self {
        case .unreadable(let name, let text, let form): "\(name): '\(text.clipped)' is not \(form)"
        case .outOfBounds(let name, let text, let bounds): "\(name): '\(text.clipped)' is not within \(bounds)"
        }
    }
}

extension String {
    /// Short enough for a message, whatever a stranger sent, and without control characters.
    var clipped: String {
        let clean = unicodeScalars.prefix(80).map { $0.value < 0x20 || $0.value == 0x7F ? "?" : String($0) }
        return unicodeScalars.count > 80 ? clean.joined() + "…" : clean.joined()
    }
}
