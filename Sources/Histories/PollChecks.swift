// SPDX-License-Identifier: Apache-2.0

/// What consumers were given, one poll after the other.
extension HistoryCheck {
    func checkPolls(_ history: GroupedHistory, _ verdict: inout Verdict) {
        let lags = Dictionary(uniqueKeysWithValues: history.logs.map { ($0.name, AcknowledgementAges($0)) })
        for client in history.clients {
            // The last offset that the consumer was given of each log, since its position was last set.
            var positions: [String: Int64] = [:]
            for operation in client.operations {
                switch operation.act {
                case .assign(nil): positions = [:]
                case .assign(let logs?):
                    for log in logs { positions[log] = nil }
                case .poll(let ranges) where operation.outcome == .ok:
                    for range in ranges {
                        guard let log = history.log(range.log) else { continue }
                        check(range, of: log, readBy: client.name, &positions, &verdict)
                    }
                    guard !client.traits.isFinalScan else { continue }
                    for (name, position) in positions {
                        let lag = lags[name]?.oldest(after: position).map { operation.began - $0 } ?? 0
                        verdict.figures.worstRealtimeLag = max(verdict.figures.worstRealtimeLag, lag)
                    }
                case .open, .send, .poll, .commit, .fetchOffset, .listEnd, .listStart, .resent: break
                }
            }
        }
    }

    private func check(
        _ range: ReadRange, of log: LogHistory, readBy client: String, _ positions: inout [String: Int64],
        _ verdict: inout Verdict
    ) {
        var isInside = false
        for record in range.records {
            defer {
                positions[log.name] = record.offset
                isInside = true
            }
            guard let before = positions[log.name] else { continue }
            if record.offset <= before {
                verdict.find(
                    isInside ? .internalNonmonotonicPoll : .nonmonotonicPoll, log.name,
                    "\(client) was given \(record.offset) after \(before)")
            } else if let skipped = log.firstKnown(in: before + 1..<record.offset) {
                verdict.find(
                    isInside ? .internalPollSkip : .pollSkip, log.name,
                    "\(client) was given \(record.offset) after \(before), and not \(skipped)")
            }
        }
    }

    /// A final scan has no holes, and holds everything that any consumer was ever shown.
    func checkScans(_ history: GroupedHistory, _ verdict: inout Verdict) {
        var found: [String: Set<Int64>] = [:]
        for client in history.clients where client.traits.isFinalScan {
            for operation in client.operations where operation.outcome == .ok {
                guard case .poll(let ranges) = operation.act else { continue }
                for range in ranges { found[range.log, default: []].formUnion(range.records.map(\.offset)) }
            }
        }
        guard history.clients.contains(where: \.traits.isFinalScan) else { return }
        for log in history.logs {
            let scanned = found[log.name] ?? []
            let rising = scanned.sorted()
            for (before, next) in zip(rising, rising.dropFirst()) where next > before + 1 {
                verdict.find(.gap, log.name, "the final scan goes from \(before) to \(next)")
            }
            for offset in log.read.keys.sorted() where !scanned.contains(offset) {
                guard offset >= rising.first ?? 0 else { continue }
                verdict.find(
                    .vanished, log.name,
                    "\(log.read[offset] ?? -1) had been read at \(offset); the final scan goes from "
                        + "\(rising.first ?? -1) to \(rising.last ?? -1) and does not have it")
            }
        }
    }

    /// Ends and starts that were claimed, against what was certain when they were asked for.
    func checkStaleness(_ log: LogHistory, _ verdict: inout Verdict) {
        for claim in log.ends {
            guard let certain = log.certainEnds.before(claim.began), claim.offset < certain else { continue }
            verdict.find(
                .staleRead, log.name,
                "\(claim.what) of \(claim.client), asked at \(claim.began), said that the log ends at \(claim.offset); "
                    + "it had reached \(certain)")
        }
        var starts = RisingBound()
        for claim in log.starts { starts.add(claim.offset, at: claim.ended) }
        starts.sort()
        for claim in log.starts {
            guard let certain = starts.before(claim.began), claim.offset < certain else { continue }
            verdict.find(
                .startGoesBack, log.name,
                "\(claim.client), asking at \(claim.began), was told that the log starts at \(claim.offset); "
                    + "it had been \(certain)")
        }
    }
}

/// For each offset, when the earliest acknowledgement of something behind it came.
private struct AcknowledgementAges {
    private var offsets: [Int64] = []
    private var earliest: [Int64] = []

    init(_ log: LogHistory) {
        var acknowledged = log.sends.compactMap { send in send.offset.map { (offset: $0, ended: send.ended) } }
        acknowledged.sort { $0.offset < $1.offset }
        offsets = acknowledged.map(\.offset)
        earliest = acknowledged.map(\.ended)
        for index in earliest.indices.dropLast().reversed() {
            earliest[index] = min(earliest[index], earliest[index + 1])
        }
    }

    func oldest(after offset: Int64) -> Int64? {
        let place = offsets.firstPlace { $0 > offset }
        return place < earliest.count ? earliest[place] : nil
    }
}
