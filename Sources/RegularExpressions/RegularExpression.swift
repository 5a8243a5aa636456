// SPDX-License-Identifier: Apache-2.0

/// Why a pattern is no regular expression.
public struct RegularExpressionError: Error, Hashable, Sendable {
    public let reason: String

    public init(_ reason: String) { self.reason = reason }
}
