// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// Who leads each partition, as far as this node has heard.
///
/// Not replicated: leaders announce themselves on heartbeats and the highest term wins, so that losing a node that led
/// a thousand partitions costs no metadata writes.
public struct LeaderTable: Hashable, Sendable {
    public struct Row: Hashable, Sendable {
        public let term: Term
        /// `nil` while nobody is known to lead in `term`.
        public let leader: NodeID?

        public init(term: Term, leader: NodeID?) {
            self.term = term
            self.leader = leader
        }
    }

    private var rows: [PartitionID: Row] = [:]

    public init() {}

    public subscript(partition: PartitionID) -> Row? { rows[partition] }

    public func leader(of partition: PartitionID) -> NodeID? { rows[partition]?.leader }

    /// How many partitions have been heard of.
    public var count: Int { rows.count }

    /// Notes what was announced, and says whether that was news.
    ///
    /// Within a term, a leader replaces nobody and never another one: there is at most one leader a term.
    @discardableResult
    public mutating func learn(_ partition: PartitionID, term: Term, leader: NodeID?) -> Bool {
        #if MUTANTS
            if Mutant.isActive("T-R7") { rows[partition] = nil }
        #endif
        if let known = rows[partition] {
            guard term > known.term || (term == known.term && known.leader == nil && leader != nil) else {
                return false
            }
        }
        rows[partition] = Row(term: term, leader: leader)
        return true
    }

    /// The leader of `term` says itself that it leads no more: until there is another term, nobody does.
    public mutating func withdraw(_ partition: PartitionID, term: Term, leader: NodeID) {
        guard rows[partition] == Row(term: term, leader: leader) else { return }
        rows[partition] = Row(term: term, leader: nil)
    }

    /// Forgets a partition that no longer exists.
    public mutating func forget(_ partition: PartitionID) { rows[partition] = nil }
}
