// SPDX-License-Identifier: Apache-2.0
public import NIOCore

/// Where a broker listens.
public struct BrokerAddress: Hashable, Sendable, CustomStringConvertible {
    public let host: String
    public let port: Int

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Reads `host:port`, `[v6]:port` or a bare host, which means port 9092.
    public init?(_ text: some StringProtocol) {
        let text = String(text)
        guard !text.isEmpty else { return nil }
        if text.hasPrefix("["), let close = text.firstIndex(of: "]") {
            let rest = text[text.index(after: close)...]
            guard let port = rest.isEmpty ? 9092 : Self.port(rest.dropFirst()), rest.isEmpty || rest.first == ":" else {
                return nil
            }
            self.init(host: String(text[text.index(after: text.startIndex)..<close]), port: port)
        } else if let colon = text.lastIndex(of: ":") {
            guard let port = Self.port(text[text.index(after: colon)...]), colon != text.startIndex else { return nil }
            self.init(host: String(text[..<colon]), port: port)
        } else {
            self.init(host: text, port: 9092)
        }
    }

    /// Reads a list separated by commas; `nil` when one of them cannot be read or there is none.
    public static func list(_ text: String) -> [BrokerAddress]? {
        let parts = text.split(separator: ",")
        let addresses = parts.compactMap { BrokerAddress($0) }
        return addresses.isEmpty || addresses.count < parts.count ? nil : addresses
    }

    private static func port(_ digits: Substring) -> Int? {
        guard let port = Int(digits), (1...65_535).contains(port) else { return nil }
        return port
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// How a client behaves towards the cluster. The defaults suit a program that produces and consumes.
public struct ClientConfiguration: Sendable {
    /// Brokers to ask first. Any of them leads to all others.
    public var bootstrap: [BrokerAddress]
    /// The name the brokers log.
    public var clientID = "godwit"
    /// How long one connection attempt may take.
    public var connectTimeout: TimeAmount = .seconds(5)
    /// How long a broker may take to answer one request. The connection is closed when it takes longer.
    public var requestTimeout: TimeAmount = .seconds(30)
    /// How long one question for metadata may take before the next broker is asked.
    public var metadataTimeout: TimeAmount = .seconds(2)
    /// How long a call is tried again before it fails, from when it was made: `delivery.timeout.ms`.
    public var deliveryTimeout: TimeAmount = .seconds(120)
    /// The pause before a failed request is tried again. It grows once a partition has failed for long.
    public var retryBackoff: TimeAmount = .milliseconds(10)
    /// The longest pause between attempts.
    public var retryBackoffLimit: TimeAmount = .milliseconds(500)
    /// Metadata older than this is asked for again.
    public var metadataMaxAge: TimeAmount = .seconds(300)
    /// The largest answer that is taken from a broker, in bytes. A longer one closes the connection unread.
    public var maxFrameBytes = 128 << 20
    /// The most that one batch may hold when it is unpacked, in bytes.
    public var maxUnpackedBatchBytes = 128 << 20
    /// Requests that may be unanswered on one connection; more wait in the client.
    public var maxRequestsInFlight = 64
    /// Nodes that are believed to exist at most: what a hostile broker can make the client remember.
    public var maxNodes = 10_000

    public init(bootstrap: [BrokerAddress]) { self.bootstrap = bootstrap }
}
