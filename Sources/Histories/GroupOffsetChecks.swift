// SPDX-License-Identifier: Apache-2.0

/// What was committed by and shown of one group in one log.
struct GroupOffsetHistory {
    struct Look {
        let client: String
        let offset: Int64
        let began: Int64
        let ended: Int64
        let isCommit: Bool
        let isCertain: Bool
    }

    let group: String
    let log: String
    /// Commits and fetches, those that failed left out.
    private(set) var looks: [Look] = []
    /// When a fetch that found nothing began.
    private(set) var foundNothing: [(client: String, began: Int64)] = []

    static func all(in clients: [ClientHistory]) -> [GroupOffsetHistory] {
        struct Key: Hashable, Comparable {
            let group: String
            let log: String
            static func < (left: Self, right: Self) -> Bool { (left.group, left.log) < (right.group, right.log) }
        }
        var found: [Key: GroupOffsetHistory] = [:]
        func add(_ group: String, _ log: String, _ offset: Int64?, _ isCommit: Bool, _ operation: Operation) {
            let key = Key(group: group, log: log)
            guard let offset else {
                found[key, default: GroupOffsetHistory(group: group, log: log)].foundNothing.append(
                    (operation.client, operation.began))
                return
            }
            let look = Look(
                client: operation.client, offset: offset, began: operation.began,
                ended: operation.outcome == .ok ? operation.ended : .max, isCommit: isCommit,
                isCertain: operation.outcome == .ok)
            found[key, default: GroupOffsetHistory(group: group, log: log)].looks.append(look)
        }
        for client in clients {
            for operation in client.operations {
                switch operation.act {
                case .commit(let group, let log, let offset) where operation.outcome != .failed:
                    add(group, log, offset, true, operation)
                case .fetchOffset(let group, let log, let offset) where operation.outcome == .ok:
                    add(group, log, offset, false, operation)
                case .open, .send, .poll, .assign, .listEnd, .listStart, .resent, .commit, .fetchOffset: break
                }
            }
        }
        return found.keys.sorted().compactMap { found[$0] }
    }
}

/// A group's offset is a register: a fetch shows the last commit that had ended, or one that was under way.
extension HistoryCheck {
    func checkGroupOffsets(_ history: GroupOffsetHistory, _ verdict: inout Verdict) {
        let certain = history.looks.filter(\.isCertain).sorted { $0.ended < $1.ended }
        var commits: [Int64: [GroupOffsetHistory.Look]] = [:]
        for look in history.looks where look.isCommit { commits[look.offset, default: []].append(look) }
        var highest = RisingBound()
        for look in certain { highest.add(look.offset, at: look.ended) }
        highest.sort()
        let late = history.looks.filter { $0.isCommit && !$0.isCertain }
        let asked = "group \(history.group)"
        for nothing in history.foundNothing {
            guard let before = highest.before(nothing.began) else { continue }
            verdict.find(
                .groupOffsetBack, history.log,
                "\(asked): \(nothing.client), asking at \(nothing.began), was shown none; \(before) had been committed")
        }
        for look in history.looks {
            if look.isCommit {
                guard let before = highest.before(look.began), look.offset < before else { continue }
                // A commit of unknown outcome may have taken effect late; who was shown it then goes on from there.
                guard !late.contains(where: { $0.offset <= look.offset && $0.began < look.began }) else { continue }
                verdict.find(
                    .commitBack, history.log,
                    "\(asked): \(look.client) committed \(look.offset) at \(look.began); \(before) had been committed")
                continue
            }
            let sources = commits[look.offset, default: []].filter { $0.began < look.ended }
            guard !sources.isEmpty else {
                verdict.find(
                    .groupOffsetForeign, history.log,
                    "\(asked): \(look.client) was shown \(look.offset), which nobody had committed")
                continue
            }
            // When the last commit that can have set this had certainly taken effect.
            let settled = sources.map(\.ended).max() ?? .max
            guard settled < look.began else { continue }
            let first = certain.firstPlace { $0.ended > settled }
            for other in certain[first...] {
                guard other.ended < look.began else { break }
                guard other.began > settled, other.offset != look.offset else { continue }
                verdict.find(
                    .groupOffsetBack, history.log,
                    "\(asked): \(look.client), asking at \(look.began), was shown \(look.offset), which "
                        + "\(other.offset) had replaced by \(other.ended)")
                break
            }
        }
    }
}
