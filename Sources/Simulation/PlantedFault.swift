// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore

/// A fault put in on purpose: what the checks must be able to see.
///
/// A simulator that has never failed proves nothing.
public enum PlantedFault: String, CaseIterable, Sendable {
    /// One machine's disk says that it has synced, and has not.
    case lyingDisk
    /// Every machine comes back without knowing its term and vote.
    case forgottenVotes
    /// Every refused vote arrives as a granted one.
    case forgedVotes
    /// Followers acknowledge what they have received, durable or not.
    case forgedMatches
    /// The leader's commit index arrives with more in it than was sent.
    case forgedCommits
    /// A replica shows a commit index that goes back.
    case retractedCommit
    /// A leader shows as committed what it has merely stored.
    case earlyWatermark
    /// A configuration is believed in only once it is committed.
    case membersOnCommit
    /// A leader's word is never heard: nothing can be committed.
    case deafFollowers
    /// A coordinator acknowledges commits before they are committed to its log.
    case earlyCommitReplies
    /// A coordinator goes on answering after it has lost its leadership.
    case coordinatorOfThePast
    /// A coordinator acknowledges the commits of members that are fenced.
    case unfencedCommits
    /// A coordinator that takes over has not read the end of its log.
    case forgottenLastCommit
    /// Every replica forgets its producers a moment after they have written.
    case forgetfulLeaders

    /// A leader shows records that were deleted as if they were not.
    case retractedStart
    /// A compacted log lacks the last record of a key.
    case lostKey

    // Only in the simulation of whole nodes.
    /// A leader answers acks=all once it has the batch itself.
    case hastyLeader
    /// Followers acknowledge appends with all that they have received, durable or not.
    case hastyFollowers
    /// A new leader shows what earlier terms wrote as committed before an entry of its own term is.
    case oldTermCommit
    /// A fetch is answered with what is not committed.
    case fetchAboveWatermark
    /// A follower cuts off what is committed.
    case committedCut
    /// A leader tells an end of its log that lies before what it has acknowledged.
    case staleEnds

    private static let onlyOfNodes: [Self] = [
        .hastyLeader, .hastyFollowers, .oldTermCommit, .fetchAboveWatermark, .committedCut, .staleEnds,
    ]
    /// Those that `Simulation` plants.
    public static var ofShards: [Self] { allCases.filter { !onlyOfNodes.contains($0) } }
    /// Those that `NodeSimulation` plants.
    public static var ofNodes: [Self] {
        let others: [Self] = [
            .earlyCommitReplies, .coordinatorOfThePast, .unfencedCommits, .forgottenLastCommit,
        ]
        return allCases.filter { !others.contains($0) }
    }

    /// What the fault makes of a letter on its way.
    func forge(_ message: inout Message, random: inout SimRandom) {
        switch (self, message) {
        case (.forgedVotes, .voteReply(let term, false)): message = .voteReply(term: term, granted: true)
        case (.forgedVotes, .preVoteReply(let term, false, let round)):
            message = .preVoteReply(term: term, granted: true, round: round)
        case (.forgedMatches, .heartbeatReply(var reply)):
            reply.matched = reply.held
            message = .heartbeatReply(reply)
        case (.forgedCommits, .append(var append)) where random.chance(perMille: 500):
            append.commit = append.end
            message = .append(append)
        case (.deafFollowers, .append(let append)):
            message = .append(Append(term: append.term, prev: append.prev, runs: [], commit: .zero))
        default: break
        }
    }

    /// What the fault makes of a view that the checks are about to be shown.
    func distort(_ view: inout ReplicaView, random: inout SimRandom) {
        switch self {
        case .retractedCommit where random.chance(perMille: 2): view.commit = view.start
        case .earlyWatermark where view.role == .leader && view.highWatermark != nil:
            view.highWatermark = view.highWatermark.map { Offset($0.rawValue + 1) }
        default: break
        }
    }
}
