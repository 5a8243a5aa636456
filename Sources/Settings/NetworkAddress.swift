// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// A host and a port: `127.0.0.1:9092`, `broker.example.org:9092`, `[::1]:9092`.
public struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
    /// A name or an IP address, without brackets.
    public let host: String
    /// 0 asks the system for a free port, which makes sense only where one listens.
    public let port: UInt16

    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Whether it stands for every address of the machine, which nobody can connect to.
    public var isWildcard: Bool { host == "0.0.0.0" || host == "::" }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension NetworkAddress: SettingValue {
    public static var form: String { "an address host:port" }

    public init?(setting text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), let port = UInt16(digits) else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.allSatisfy({ $0.isASCII && ($0.isHexDigit || ":.%".contains($0)) }) else { return nil }
        } else if !host.utf8.allSatisfy(Self.isLegalInHostName) {
            return nil
        }
        // RFC 1035 §2.3.4: a name has at most 255 octets, so it also fits Kafka's INT16-prefixed strings.
        guard (1...255).contains(host.utf8.count) else { return nil }
        self.init(host: String(host), port: port)
    }

    public var settingText: String { description }

    private static func isLegalInHostName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

/// A node with a vote in the metadata group, and where its peers reach it: `1@10.0.0.1:19092`.
public struct Voter: Hashable, Sendable, CustomStringConvertible {
    public let id: NodeID
    public let address: NetworkAddress

    public init(id: NodeID, address: NetworkAddress) {
        self.id = id
        self.address = address
    }

    public var description: String { "\(id.rawValue)@\(address)" }
}

extension Voter: SettingValue {
    public static var form: String { "a voter id@host:port" }

    public init?(setting text: String) {
        guard let at = text.firstIndex(of: "@"), let id = NodeID(setting: String(text[..<at])),
            let address = NetworkAddress(setting: String(text[text.index(after: at)...])), address.port != 0
        else { return nil }
        self.init(id: id, address: address)
    }

    public var settingText: String { description }
}

/// How many nodes are to vote in the metadata group.
public enum MetadataVoters: String, SettingValue, CaseIterable {
    /// Five where five or more vote already, else three.
    case auto
    case three = "3"
    case five = "5"

    public static var form: String { "auto, 3 or 5" }
    public init?(setting text: String) { self.init(rawValue: text) }
    public var settingText: String { rawValue }
}

/// How much a node says in its own log.
public enum LogLevel: String, SettingValue, CaseIterable {
    case trace, debug, info, notice, warning, error, critical

    public static var form: String { allCases.map(\.rawValue).joined(separator: ", ") }
    public init?(setting text: String) { self.init(rawValue: text) }
    public var settingText: String { rawValue }
}

/// How a line of a node's own log looks.
public enum LogFormat: String, SettingValue, CaseIterable {
    case text, json

    public static var form: String { allCases.map(\.rawValue).joined(separator: " or ") }
    public init?(setting text: String) { self.init(rawValue: text) }
    public var settingText: String { rawValue }
}

/// Which replica a consumer is told to read (KIP-392).
public enum ReplicaSelector: String, SettingValue, CaseIterable {
    case leader
    case rackAware = "rack-aware"

    public static var form: String {
        "\(allCases.map(\.rawValue).joined(separator: " or ")), or a Kafka selector's class name"
    }

    public init?(setting text: String) {
        switch text {
        case "org.apache.kafka.common.replica.LeaderSelector": self = .leader
        case "org.apache.kafka.common.replica.RackAwareReplicaSelector": self = .rackAware
        default: self.init(rawValue: text)
        }
    }
    public var settingText: String { rawValue }
}
