// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A size as people write it: `1024`, `64KiB`, `1MB`, `2GiB`. K, M and G alone count in 1024s, KB, MB and GB in 1000s.
struct Size: ExpressibleByArgument, Equatable {
    let bytes: Int

    init(bytes: Int) { self.bytes = bytes }

    init?(argument: String) {
        guard let (number, unit) = splitNumber(argument) else { return nil }
        let factors: [String: Double] = [
            "": 1, "b": 1, "k": 1024, "kib": 1024, "kb": 1000, "m": 1_048_576, "mib": 1_048_576, "mb": 1_000_000,
            "g": 1_073_741_824, "gib": 1_073_741_824, "gb": 1_000_000_000,
        ]
        guard let factor = factors[unit], number * factor < 1e15 else { return nil }
        bytes = Int(number * factor)
    }

    var defaultValueDescription: String { "\(bytes)" }
}

/// A span of time as people write it: `30`, `30s`, `500ms`, `2m`, `1h`, `7d`. A bare number is seconds.
struct Span: ExpressibleByArgument, Equatable {
    let nanoseconds: Int64

    init(seconds: Double) { nanoseconds = Int64(seconds * 1e9) }

    init?(argument: String) {
        guard let (number, unit) = splitNumber(argument) else { return nil }
        let factors: [String: Double] = [
            "": 1, "s": 1, "ms": 1e-3, "us": 1e-6, "m": 60, "min": 60, "h": 3600, "d": 86_400,
        ]
        guard let factor = factors[unit], number * factor < 1e9 else { return nil }
        self.init(seconds: number * factor)
    }

    var seconds: Double { Double(nanoseconds) / 1e9 }
    var defaultValueDescription: String { "\(seconds) s" }
}

/// Records a second, or as fast as it goes.
enum Rate: ExpressibleByArgument, Equatable {
    case max
    case perSecond(Double)

    init?(argument: String) {
        if argument == "max" {
            self = .max
        } else if let (number, unit) = splitNumber(argument), let factor = ["": 1, "k": 1e3, "m": 1e6][unit], number > 0
        {
            self = .perSecond(number * factor)
        } else {
            return nil
        }
    }

    var defaultValueDescription: String {
        switch self {
        case .max: "max"
        case .perSecond(let rate): "\(rate)"
        }
    }
}

private func splitNumber(_ text: String) -> (Double, String)? {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let number = Double(digits), number.isFinite else { return nil }
    return (number, text.dropFirst(digits.count).lowercased())
}

/// Seconds on the monotonic clock.
func monotonicSeconds() -> Double { Double(monotonicNanoseconds()) / 1e9 }

/// Nanoseconds on the monotonic clock.
func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// Milliseconds since 1970.
func wallMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}

/// `value` with so many decimals, a point between, whatever the locale.
func decimal(_ value: Double, _ places: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "-" }
    var factor = 1.0
    for _ in 0..<places { factor *= 10 }
    let scaled = Int64((value * factor).rounded())
    let sign = scaled < 0 ? "-" : ""
    let digits = String(scaled.magnitude)
    guard places > 0 else { return sign + digits }
    let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
    return sign + padded.dropLast(places) + "." + padded.suffix(places)
}

/// `1234567` as `1,234,567`.
func grouped(_ value: some BinaryInteger) -> String {
    var text = ""
    for (place, digit) in String(value).reversed().enumerated() {
        if place > 0, place % 3 == 0, digit != "-" { text.append(",") }
        text.append(digit)
    }
    return String(text.reversed())
}
