// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Foundation

/// The wish of a person or a supervisor that the program ends.
enum StopSignal {
    /// Waits for the first of SIGTERM and SIGINT and gives its name; a second one ends the process at once. Returns
    /// early when the task is cancelled.
    static func first() async -> String {
        let (signals, continuation) = AsyncStream.makeStream(of: String.self)
        var sources: [any DispatchSourceSignal] = []
        for (number, name) in [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT")] {
            Foundation.signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { continuation.yield(name) }
            source.resume()
            sources.append(source)
        }
        var first = "end of input"
        for await name in signals {
            first = name
            break
        }
        for source in sources { source.cancel() }
        for number in [SIGTERM, SIGINT] { Foundation.signal(number, SIG_DFL) }
        return first
    }
}
