// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

/// A point in time as people write it: `2026-11-21T13:00:00Z`, `2026-11-21T13:00+02:00`, `2026-11-21`, or milliseconds
/// since 1970. Without a zone it is UTC.
struct Instant: ExpressibleByArgument, Equatable {
    /// Since 1970.
    let milliseconds: Int64

    init(milliseconds: Int64) { self.milliseconds = milliseconds }

    init?(argument: String) {
        if let number = Int64(argument) {
            guard number >= 0 else { return nil }
            milliseconds = number
            return
        }
        guard let (date, time) = Self.halves(argument), let days = Self.days(date) else { return nil }
        guard let time else {
            milliseconds = days * 86_400_000
            guard milliseconds >= 0 else { return nil }
            return
        }
        guard let (clock, zone) = Self.zone(time), let offset = Self.offset(zone), let within = Self.clock(clock) else {
            return nil
        }
        milliseconds = days * 86_400_000 + within - offset
        guard milliseconds >= 0 else { return nil }
    }

    private static func halves(_ text: String) -> (Substring, Substring?)? {
        let sides = text.split(maxSplits: 1, omittingEmptySubsequences: false) { "Tt ".contains($0) }
        guard let date = sides.first else { return nil }
        return (date, sides.count > 1 ? sides[1] : nil)
    }

    private static func zone(_ time: Substring) -> (Substring, Substring)? {
        guard let start = time.firstIndex(where: { "Zz+-".contains($0) }) else { return (time, "Z") }
        return (time[..<start], time[start...])
    }

    private static func numbers(_ text: Substring, _ separator: Character, _ widths: [Int]) -> [Int64]? {
        let parts = text.split(separator: separator, omittingEmptySubsequences: false)
        guard parts.count <= widths.count else { return nil }
        var numbers: [Int64] = []
        for (part, width) in zip(parts, widths) {
            guard part.utf8.count == width, part.allSatisfy({ $0.isASCII && $0.isNumber }), let number = Int64(part)
            else { return nil }
            numbers.append(number)
        }
        return numbers
    }

    /// Days since 1970 by the proleptic Gregorian calendar.
    private static func days(_ date: Substring) -> Int64? {
        guard let parts = numbers(date, "-", [4, 2, 2]), parts.count == 3 else { return nil }
        let (year, month, day) = (parts[0], parts[1], parts[2])
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...12).contains(month), day >= 1, day <= lengths[Int(month) - 1] else { return nil }
        let before = year - 1
        let leaps = before / 4 - before / 100 + before / 400
        let inYear = lengths[..<Int(month - 1)].reduce(0, +) + day - 1
        // 719,162 days lie between the first day of year 1 and of 1970.
        return before * 365 + leaps + inYear - 719_162
    }

    private static func clock(_ text: Substring) -> Int64? {
        let sides = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let parts = numbers(sides[0], ":", [2, 2, 2]), parts.count >= 2 else { return nil }
        let second = parts.count == 3 ? parts[2] : 0
        guard parts[0] < 24, parts[1] < 60, second < 60 else { return nil }
        var thousandths: Int64 = 0
        if sides.count == 2 {
            let digits = sides[1]
            guard parts.count == 3, (1...9).contains(digits.utf8.count),
                digits.allSatisfy({ $0.isASCII && $0.isNumber }),
                let number = Int64((digits + "00").prefix(3))
            else { return nil }
            thousandths = number
        }
        return ((parts[0] * 60 + parts[1]) * 60 + second) * 1000 + thousandths
    }

    private static func offset(_ zone: Substring) -> Int64? {
        if zone == "Z" || zone == "z" { return 0 }
        guard let parts = numbers(zone.dropFirst(), ":", [2, 2]), let hours = parts.first, hours < 24 else {
            return nil
        }
        let minutes = parts.count == 2 ? parts[1] : 0
        guard minutes < 60 else { return nil }
        return (zone.first == "-" ? -1 : 1) * (hours * 60 + minutes) * 60_000
    }
}
