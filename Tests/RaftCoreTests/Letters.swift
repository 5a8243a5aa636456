// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore

func position(_ term: Int32, _ end: Int64) -> LogPosition { LogPosition(term: Term(term), end: LogIndex(end)) }

func append(_ term: Int32, prev: LogPosition, _ runs: [(Int32, Int64)] = [], commit: Int64 = 0) -> Message {
    .append(
        Append(
            term: Term(term), prev: prev, runs: runs.map { TermRun(term: Term($0.0), end: LogIndex($0.1)) },
            commit: LogIndex(commit)))
}

/// Entries of one slot each, of these terms, the first of them at `first`; their values are told from others'.
func entries(_ terms: [Int32], from first: Int64, value: UInt64 = 1_000) -> [Entry] {
    terms.enumerated().map { Entry(term: Term($1), end: LogIndex(first + Int64($0) + 1), value: value + UInt64($0)) }
}
