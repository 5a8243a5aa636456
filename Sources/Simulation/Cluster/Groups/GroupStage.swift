// SPDX-License-Identifier: Apache-2.0

import Broker
import GroupCore
import LogModel
import RecordBatches

/// What groups need of the simulation that they are part of: of shards, or of whole nodes.
///
/// Partitions are numbered: those of the topic that members read, then those of `__consumer_offsets`.
protocol GroupStage: AnyObject {
    var now: UInt64 { get }
    var random: SimRandom { get set }
    var digest: RunDigest { get set }
    var isCalm: Bool { get }
    var planted: PlantedFault? { get }
    var electionTimeout: UInt64 { get }
    var nodeCount: Int { get }
    /// Of the topic that members read.
    var partitionCount: Int { get }
    var topicID: TopicID { get }
    /// Whether a node may not have heard of a topic that has been made.
    var mayKnowTopicsLate: Bool { get }
    /// How long carrying what some replica still lacks may take.
    var backlogTime: UInt64 { get }

    func say(_ sentence: @autoclosure () -> String)
    func broke(_ error: Violation)
    func schedule(after delay: UInt64, _ work: @escaping () -> Void)
    func schedule(on place: Int, life: Int, after delay: UInt64, _ work: @escaping () -> Void)
    func run(until end: UInt64, orUntil isDone: () -> Bool) -> Bool
    func count(_ event: GroupEvent)

    /// `nil` while a node is down.
    func life(of place: Int) -> Int?
    func isAwake(_ place: Int) -> Bool
    func likelyLeader(of number: Int) -> Int
    /// The term in which a node leads a partition; `nil` when it does not.
    func leadingTerm(of number: Int, at place: Int) -> Term?
    /// The term of a node's replica.
    func term(of number: Int, at place: Int) -> Term?
    /// For how long a node has led a partition without anything in its way; `nil` when something was.
    func undisturbed(_ number: Int, at place: Int) -> UInt64?
    func committedOffset(of number: Int) -> Int64
    /// Which partition of `__consumer_offsets` a group belongs to.
    func offsetsPartition(of group: Int, named name: String, among count: Int) -> Int32

    /// Gives a request to the coordinator on a node. False when nobody is there to take it.
    func hand(_ exchange: Exchange, named group: String, answered: @escaping (GroupOutcome) -> Void) -> Bool
    /// What a member reads of a partition from `next` on, as far as it is committed; `nil` when there is nothing.
    func read(_ number: Int, at place: Int, from next: Int64, limit: ByteCount) throws -> [EntryHead]?
}

/// What is counted of groups.
enum GroupEvent {
    case request, commit, offsetFetch, assignment, fencedMember
}

/// A run's figures, as far as groups make them.
protocol GroupStatistics {
    var groupRequests: Int { get set }
    var groupCommits: Int { get set }
    var offsetFetches: Int { get set }
    var assignments: Int { get set }
    var fencedMembers: Int { get set }
}

extension GroupStatistics {
    mutating func count(_ event: GroupEvent) {
        switch event {
        case .request: groupRequests += 1
        case .commit: groupCommits += 1
        case .offsetFetch: offsetFetches += 1
        case .assignment: assignments += 1
        case .fencedMember: fencedMembers += 1
        }
    }
}

extension SimulationReport.Statistics: GroupStatistics {}
extension NodeReport.Statistics: GroupStatistics {}
