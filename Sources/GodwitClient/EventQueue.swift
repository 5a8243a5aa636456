// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Synchronization

/// What a consumer's loop has for its reader: events in order, then perhaps the reason why there are no more.
final class EventQueue<Event: Sendable>: Sendable {
    private struct Content: Sendable {
        var events = CircularBuffer<Event>()
        var failure: ClientError?
        var isClosed = false
        var waiting: CheckedContinuation<Void, Never>?
    }

    private let content = Mutex(Content())

    /// The next event; `nil` after `close()`. For one caller at a time.
    func next() async throws(ClientError) -> Event? {
        while true {
            let (event, failure, isClosed) = content.withLock { content in
                (content.events.popFirst(), content.failure, content.isClosed)
            }
            if let event { return event }
            if let failure { throw failure }
            if isClosed { return nil }
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let mayGo = content.withLock { content in
                    guard content.events.isEmpty, content.failure == nil, !content.isClosed else { return true }
                    precondition(content.waiting == nil, "one caller at a time reads a consumer")
                    content.waiting = continuation
                    return false
                }
                if mayGo { continuation.resume() }
            }
        }
    }

    /// Events after `close()` are dropped.
    func put(_ event: Event) {
        wake { if !$0.isClosed { $0.events.append(event) } }
    }

    /// What is there can still be taken; then `failure` is thrown. The first counts.
    func fail(_ failure: ClientError) {
        wake { if $0.failure == nil { $0.failure = failure } }
    }

    func close() { wake { $0.isClosed = true } }

    /// Takes out events that nobody has read yet.
    func remove(where isUnwanted: (Event) -> Bool) -> [Event] {
        content.withLock { content in
            var kept = CircularBuffer<Event>()
            var removed: [Event] = []
            for event in content.events {
                if isUnwanted(event) { removed.append(event) } else { kept.append(event) }
            }
            content.events = kept
            return removed
        }
    }

    private func wake(_ change: (inout Content) -> Void) {
        let waiting = content.withLock { content in
            change(&content)
            defer { content.waiting = nil }
            return content.waiting
        }
        waiting?.resume()
    }
}
