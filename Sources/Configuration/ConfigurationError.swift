// SPDX-License-Identifier: Apache-2.0

/// Everything that is wrong with a node's configuration, all at once.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    public struct Complaint: Hashable, Sendable, CustomStringConvertible {
        /// Where to look: `node1.yaml:12`, `GODWIT_NODE_ID`, `flag node.id`; `nil` when something is missing.
        public let place: String?
        public let message: String

        public var description: String { place.map { "\($0): \(message)" } ?? message }
    }

    /// In the order of the file, then variables by name, then flags, then rules between settings. Never empty.
    public let complaints: [Complaint]

    /// One line a complaint.
    public var description: String { complaints.map(\.description).joined(separator: "\n") }
}
