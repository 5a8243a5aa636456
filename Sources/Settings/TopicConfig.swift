// SPDX-License-Identifier: Apache-2.0

/// One of Kafka's topic configs: its name, type, default, bounds and meaning, in one place.
///
/// What Kafka knows and Godwit does not do is declared too, so that it is refused with the reason and shown with the
/// one value it has, instead of being accepted and ignored.
public struct TopicConfig: Hashable, Sendable {
    /// Raw values are those of `ConfigType` in DescribeConfigs (KIP-569).
    public enum Kind: Int8, Sendable {
        case boolean = 1
        case string = 2
        case int = 3
        case short = 4
        case long = 5
        case double = 6
        case list = 7
    }

    /// Which values are taken.
    public enum Rule: Hashable, Sendable {
        case range(ClosedRange<Int64>)
        case oneOf([String])
        /// A share of one: from 0 to 1.
        case share
        /// At least one of these, between commas, each once.
        case someOf([String])
        /// Only the default, and why.
        case onlyDefault(reason: String)
    }

    public let name: String
    public let kind: Kind
    /// The default, unless a node's setting gives it.
    public let initial: String
    public let rule: Rule
    /// The node setting that gives the default.
    public let synonym: String?
    public let documentation: String

    init(
        _ name: String, _ kind: Kind, _ initial: String, _ rule: Rule, synonym: String? = nil, _ documentation: String
    ) {
        self.name = name
        self.kind = kind
        self.initial = initial
        self.rule = rule
        self.synonym = synonym
        self.documentation = documentation
    }

    /// The config of this name.
    public static func named(_ name: String) -> TopicConfig? { byName[name] }

    /// `value` in the form it is kept in, if it is legal.
    public func validated(_ value: String) throws(TopicConfigError) -> String {
        let text = kind == .string || kind == .list || kind == .boolean ? value.trimmed.lowercasedASCII : value.trimmed
        switch rule {
        case .range(let range):
            guard let number = Int64(text) else { throw .notANumber(name, value: value.clipped) }
            guard range.contains(number) else { throw .outOfBounds(name, value: value.clipped, bounds: range) }
            return "\(number)"
        case .oneOf(let values):
            guard let match = values.first(where: { $0.lowercasedASCII == text }) else {
                throw .notOneOf(name, value: value.clipped, values: values)
            }
            return match
        case .share:
            guard let share = Double(text) else { throw .notANumber(name, value: value.clipped) }
            guard (0...1).contains(share) else { throw .outOfBounds(name, value: value.clipped, bounds: 0...1) }
            return "\(share)"
        case .someOf(let values):
            let items = text.split(separator: ",", omittingEmptySubsequences: false).map(\.trimmed)
            for (place, item) in items.enumerated() {
                guard values.contains(item), !items[..<place].contains(item) else {
                    throw .notOneOf(name, value: value.clipped, values: values)
                }
            }
            return items.joined(separator: ",")
        case .onlyDefault(let reason):
            guard isDefault(text) else { throw .notSupported(name, value: value.clipped, reason: reason) }
            return initial
        }
    }

    private func isDefault(_ text: String) -> Bool {
        if kind == .double, let number = Double(text), let mine = Double(initial) { return number == mine }
        if let number = Int64(text), let mine = Int64(initial) { return number == mine }
        return text == initial.lowercasedASCII
    }

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
}

/// Why a topic config is refused; Kafka calls all of them `INVALID_CONFIG`.
public enum TopicConfigError: Error, Hashable, Sendable, CustomStringConvertible {
    case unknown(String)
    case missingValue(String)
    case repeated(String)
    case notANumber(String, value: String)
    case outOfBounds(String, value: String, bounds: ClosedRange<Int64>)
    case notOneOf(String, value: String, values: [String])
    /// Values were to be put into or taken out of what is no list.
    case notAList(String)
    /// Kafka has it, Godwit has not.
    case notSupported(String, value: String, reason: String)

    public var description: String {
        switch self {
        case .unknown(let name): "Unknown topic config name: \(name)"
        case .missingValue(let name): "\(name): a value is needed"
        case .repeated(let name): "\(name): given more than once"
        case .notANumber(let name, let value): "\(name): '\(value)' is not a number of the kind needed"
        case .outOfBounds(let name, let value, let bounds):
            "\(name): \(value) is not within \(bounds.lowerBound) to \(bounds.upperBound)"
        case .notOneOf(let name, let value, let values):
            "\(name): '\(value)' is not one of \(values.joined(separator: ", "))"
        case .notAList(let name): "Can't append to or subtract from key \(name) because its type is not LIST."
        case .notSupported(let name, let value, let reason): "\(name)=\(value) is not supported: \(reason)"
        }
    }
}

extension String {
    var lowercasedASCII: String {
        String(unicodeScalars.map { ("A"..."Z").contains($0) ? Character($0).lowercased() : String($0) }.joined())
    }
}
