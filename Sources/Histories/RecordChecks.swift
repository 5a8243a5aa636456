// SPDX-License-Identifier: Apache-2.0

/// What is in the logs: losses, copies, inventions.
extension HistoryCheck {
    func checkRecords(_ log: LogHistory, _ verdict: inout Verdict) {
        checkContents(log, &verdict)
        checkPresence(log, &verdict)
        checkCopies(log, &verdict)
    }

    private func checkContents(_ log: LogHistory, _ verdict: inout Verdict) {
        for other in log.differing {
            verdict.find(
                .inconsistentOffsets, log.name,
                "offset \(other.offset) was read as \(log.read[other.offset] ?? -1), "
                    + "and by \(other.client) as \(other.value)")
        }
        var holders: [Int64: Int64] = [:]
        for send in log.sends {
            guard let offset = send.offset else { continue }
            let content = log.read[offset] ?? holders[offset]
            if let content, content != send.value {
                verdict.find(
                    .inconsistentOffsets, log.name,
                    "\(send.client) was told that \(send.value) is at \(offset), which holds \(content)")
            }
            if holders[offset] == nil { holders[offset] = send.value }
        }
        for offset in log.read.keys.sorted() {
            guard let value = log.read[offset] else { continue }
            guard let sender = log.senders[value] else {
                let what = value < 0 ? "bytes that no client writes" : "\(value), which nobody sent there"
                verdict.find(.foreign, log.name, "offset \(offset) holds \(what)")
                continue
            }
            if log.sends[sender].outcome == .failed {
                verdict.find(
                    .abortedRead, log.name,
                    "offset \(offset) holds \(value), which \(log.sends[sender].client) was told had not been written")
            }
        }
    }

    private func checkPresence(_ log: LogHistory, _ verdict: inout Verdict) {
        let last = log.read.keys.max() ?? -1
        for send in log.sends where send.isPromise {
            guard let offset = send.offset, log.read[offset] == nil else { continue }
            let who = "\(send.value), acknowledged to \(send.client) at offset \(offset) at \(send.ended),"
            if offset < last {
                verdict.find(.lostWrite, log.name, "\(who) was read by nobody; the last offset read is \(last)")
            } else {
                verdict.find(.unseen, log.name, "\(who) was never read; nothing behind \(last) was")
            }
        }
    }

    private func checkCopies(_ log: LogHistory, _ verdict: inout Verdict) {
        for send in log.sends {
            guard let offsets = log.offsets[send.value], offsets.count > 1 else { continue }
            if send.isIdempotent {
                verdict.find(.duplicate, log.name, "\(send.value) of \(send.client) is at offsets \(offsets.sorted())")
            } else {
                verdict.figures.toleratedDuplicates += 1
            }
        }
    }

    /// Redpanda's rule: a record lands above every offset that was acknowledged before it was sent, whatever became of
    /// its own acknowledgement.
    func checkOffsetsRise(_ log: LogHistory, _ verdict: inout Verdict) {
        for send in log.sends {
            guard let lowest = log.offsets[send.value]?.min(), let end = log.acknowledgedEnds.before(send.began),
                lowest < end
            else { continue }
            verdict.find(
                .offsetTooLow, log.name,
                "\(send.value) of \(send.client), sent at \(send.began), is at \(lowest); "
                    + "\(end - 1) had been acknowledged")
        }
    }

    /// The order of one producer's records. Of producers that may change it, only records sent together are compared;
    /// what else they owe, `checkOffsetsRise` asks.
    func checkSendOrder(_ history: GroupedHistory, _ verdict: inout Verdict) {
        for client in history.clients where client.traits.acks == .all {
            var latest: [String: (offset: Int64, value: Int64)] = [:]
            for operation in client.operations {
                guard case .send(let records) = operation.act, operation.outcome == .ok else { continue }
                var inside: [String: Int64] = [:]
                for record in records {
                    guard let offset = record.offset else { continue }
                    if let before = inside[record.log] {
                        if offset <= before {
                            verdict.find(
                                .internalNonmonotonicSend, record.log,
                                "\(client.name) sent \(record.value) after what is at \(before); it is at \(offset)")
                        }
                    } else if client.traits.keepsOrder, let before = latest[record.log], offset <= before.offset {
                        verdict.find(
                            .nonmonotonicSend, record.log,
                            "\(client.name) sent \(record.value) after \(before.value), which is at \(before.offset); "
                                + "it is at \(offset)")
                    }
                    inside[record.log] = offset
                    if offset > latest[record.log]?.offset ?? -1 { latest[record.log] = (offset, record.value) }
                }
            }
        }
    }
}
