// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// What two replicas of a group say to each other when one of them has damaged entries. Raft takes no notice of it:
/// an entry is named by its index and term, and the same pair is the same entry in every log (raft paper §5.3), so any
/// replica may answer, in any term, whether it leads or not.
public enum RepairLetter: Hashable, Sendable {
    /// "Send me what you hold from the first slot of `range` on, as far as you like." The number comes back.
    case request(number: UInt64, range: Range<LogIndex>)
    /// The entries travel beside it.
    case answer(number: UInt64, RepairAnswer)
}

/// What a replica has of the entries it was asked for.
public enum RepairAnswer: UInt8, Hashable, Sendable, CaseIterable {
    case entries = 0
    /// They are damaged there as well.
    case damaged = 1
    /// They lie before its log's start or beyond its end.
    case absent = 2
    /// Its disk cannot say.
    case unable = 3
}
