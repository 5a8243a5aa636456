// SPDX-License-Identifier: Apache-2.0

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What a test waited for in vain, or what could not be done for it.
struct Unfulfilled: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Seconds on the monotonic clock.
func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Looks at `condition` again and again until it holds.
///
/// What is looked at belongs to other processes, so there is nothing to be woken by.
/// - Parameters:
///   - sentence: what is waited for, as the failure will say it.
///   - patience: in seconds.
///   - pause: between two looks, in milliseconds.
/// - Throws: ``Unfulfilled`` when the patience is over, and whatever the condition throws.
func wait(
    for sentence: @autoclosure () -> String, upTo patience: Double = 30, lookingEvery pause: Int32 = 20,
    until condition: () throws -> Bool
) throws {
    let start = monotonicSeconds()
    while !(try condition()) {
        guard monotonicSeconds() - start < patience else {
            throw Unfulfilled("waited \(Int(patience)) s in vain for: \(sentence())")
        }
        poll(nil, 0, pause)
    }
}
