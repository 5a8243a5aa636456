// SPDX-License-Identifier: Apache-2.0

import LogModel

/// What may be in force as the committed offset of one group and partition: a register whose writes are all told apart.
///
/// A write is known to be in force once it was acknowledged, or once a reader was given it. From then on whatever was
/// known before that write arrived has been replaced for good. A write that was never answered may come into force at
/// any time; seen once, it stays until it is replaced.
///
/// Times are virtual nanoseconds, seen at the coordinator. A coordinator that does not know yet that it was replaced
/// can tell what its successor has overwritten, as a leader of the past can show an old high watermark; so each fact
/// carries the term it was established in, and binds that term and later ones.
struct OffsetRegister {
    struct Write {
        /// `nil` for the removal of the offset.
        let offset: Int64?
        /// An administrator's, who may go back.
        let isExplicit: Bool
        let arrived: UInt64
        /// The furthest a member was known to have committed when this write arrived.
        let floor: Int64
        var known: Fact?
        /// Since when something else is in force, at the least: later facts only where their term is lower.
        var replaced: [Fact] = []
        var isRefused = false
    }

    struct Fact {
        let at: UInt64
        let term: Term
    }

    let name: String
    /// Write 0 is the absence that a register begins with.
    private(set) var writes: [Int: Write] = [
        0: Write(offset: nil, isExplicit: true, arrived: 0, floor: -1, known: Fact(at: 0, term: .zero))
    ]
    /// Those not known to be replaced, in order of arrival.
    private var live = [0]
    private var floor: Int64 = -1

    init(name: String) { self.name = name }

    mutating func arrived(_ number: Int, offset: Int64?, isExplicit: Bool, at time: UInt64) {
        writes[number] = Write(offset: offset, isExplicit: isExplicit, arrived: time, floor: floor)
        live.append(number)
        if isExplicit { floor = -1 }
    }

    mutating func refused(_ number: Int) {
        writes[number]?.isRefused = true
        live.removeAll { $0 == number }
    }

    mutating func acknowledged(_ number: Int, term: Term, at time: UInt64) throws(Violation) {
        guard let write = writes[number] else {
            throw Violation(.groupOffsets, "\(name): commit \(number) was acknowledged and never sent")
        }
        if !write.isExplicit, let offset = write.offset, offset < write.floor {
            throw Violation(
                .groupOffsets, "\(name): a member took the offset back to \(offset), \(write.floor) was committed")
        }
        replaceAll(but: number, knownBefore: write.arrived, by: Fact(at: time, term: term))
        becameKnown(number, Fact(at: time, term: term))
    }

    /// A reader was told what is in force: a write by its number, or with `nil` that there is no offset.
    mutating func told(
        _ number: Int?, offset: Int64, arrived: UInt64, term: Term, at time: UInt64
    ) throws(Violation) {
        guard let number else { return try toldNothing(arrived: arrived, term: term, at: time) }
        guard let write = writes[number], !write.isRefused else {
            throw Violation(.groupOffsets, "\(name): a reader was told of commit \(number), which never came to be")
        }
        guard write.offset == offset else {
            let sent = write.offset.map { "\($0)" } ?? "none"
            throw Violation(.groupOffsets, "\(name): commit \(number) was of offset \(sent), a reader got \(offset)")
        }
        try checkAge(of: number, write, arrived: arrived, term: term)
        replaceAll(but: number, knownBefore: arrived, by: Fact(at: time, term: term))
        becameKnown(number, Fact(at: time, term: term))
    }

    private mutating func toldNothing(arrived: UInt64, term: Term, at time: UInt64) throws(Violation) {
        let removals = writes.keys.sorted().filter { writes[$0]?.offset == nil && writes[$0]?.isRefused == false }
        let isPossible = removals.contains { number in
            writes[number].map { !isReplaced($0, before: arrived, for: term) } == true
        }
        guard isPossible else {
            throw Violation(.groupOffsets, "\(name): a reader was told of no offset, \(inForce) is in force")
        }
        let fact = Fact(at: time, term: term)
        for number in live where writes[number]?.offset != nil {
            guard let known = writes[number]?.known, known.at < arrived, known.term <= term else { continue }
            replace(number, by: fact)
        }
        dropReplaced()
        floor = -1
    }

    private func checkAge(of number: Int, _ write: Write, arrived: UInt64, term: Term) throws(Violation) {
        guard isReplaced(write, before: arrived, for: term) else { return }
        let offset = write.offset.map { "\($0)" } ?? "none"
        throw Violation(
            .groupOffsets, "\(name): a reader got commit \(number) of offset \(offset), \(inForce) had replaced it")
    }

    private func isReplaced(_ write: Write, before time: UInt64, for term: Term) -> Bool {
        write.replaced.contains { $0.at < time && $0.term <= term }
    }

    private var inForce: String {
        let known = live.filter { writes[$0]?.known != nil }
        let names = known.map { number in "\(number) of \(writes[number]?.offset.map { "\($0)" } ?? "none")" }
        return "commit " + names.joined(separator: " or ")
    }

    private mutating func becameKnown(_ number: Int, _ fact: Fact) {
        guard let write = writes[number] else { return }
        if write.known == nil { writes[number]?.known = fact }
        if write.isExplicit {
            floor = -1
        } else if let offset = write.offset, write.replaced.isEmpty {
            floor = max(floor, offset)
        }
    }

    private mutating func replaceAll(but number: Int, knownBefore time: UInt64, by fact: Fact) {
        for other in live where other != number {
            guard let known = writes[other]?.known, known.at < time, known.term <= fact.term else { continue }
            replace(other, by: fact)
        }
        dropReplaced()
    }

    private mutating func replace(_ number: Int, by fact: Fact) {
        if let last = writes[number]?.replaced.last, last.term <= fact.term { return }
        writes[number]?.replaced.append(fact)
    }

    private mutating func dropReplaced() {
        live.removeAll { writes[$0]?.replaced.isEmpty == false }
    }
}
