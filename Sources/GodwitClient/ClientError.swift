// SPDX-License-Identifier: Apache-2.0
public import KafkaWire

/// Why a call to the cluster failed, sorted by what the caller can do.
public enum ClientError: Error, Hashable, Sendable, CustomStringConvertible {
    /// None of the brokers asked could be reached; `tried` says each with its reason.
    case noBroker(tried: [String])
    /// The connection closed while a request was on its way. Whether the broker acted on it is not known.
    case connectionClosed(String)
    /// No answer in time. Whether the broker acted on it is not known.
    case timedOut(String)
    /// The broker answered with an error. `message` is the broker's own, where it gave one.
    case refused(ErrorCode, subject: String, message: String?)
    /// The broker does not serve this API in a version that this client speaks.
    case notSupported(String)
    /// The broker's answer is not what the protocol says. The connection has been closed.
    case badAnswer(String)
    /// What was asked for cannot be: the caller has to change it.
    case invalid(String)
    /// Nothing was sent: the producer holds as much as it may.
    case bufferFull
    /// The client was shut down.
    case closed

    /// Whether trying again may help, with metadata refreshed.
    var isRetriable: Bool {
        switch self {
        case .noBroker, .connectionClosed, .timedOut: true
        case .refused(let code, _, _): code.isRetriable
        case .notSupported, .badAnswer, .invalid, .bufferFull, .closed: false
        }
    }

    public var description: String {
        switch self {
        case .noBroker(let tried):
            tried.isEmpty ? "no broker is known" : "no broker answers: " + tried.joined(separator: "; ")
        case .connectionClosed(let peer):
            "\(peer) closed the connection, as a node that is cut off from its cluster does: see godwit cluster status"
        case .timedOut(let what): "\(what) was not answered in time"
        case .refused(let code, let subject, let message):
            if let message, !message.isEmpty { "\(subject): \(message) (\(code))" } else { "\(subject): \(code)" }
        case .notSupported(let what): "the broker does not support \(what)"
        case .badAnswer(let what): "the broker's answer cannot be read: \(what)"
        case .invalid(let what): what
        case .bufferFull: "the producer's buffer is full"
        case .closed: "the client has been closed"
        }
    }
}
