// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import LogStorage
import MetadataCore
import RaftCore
import Replication
import Settings

/// Somebody who waits until a node has a vote in the metadata group, or has none any more.
struct VoterWait {
    let deadline: Moment
    let node: NodeID
    let shallVote: Bool
    let done: (ErrorCode, String?) -> Void
}

/// Who votes in the metadata group, and how far each has come.
extension Controller {
    // MARK: - DescribeQuorum (API key 55)

    func quorum(_ request: DescribeQuorumRequest) -> DescribeQuorumResponse {
        noteQuorum()
        var response = DescribeQuorumResponse()
        response.topics = request.topics.map { asked in
            var topic = DescribeQuorumResponse.Topic()
            topic.name = asked.name
            topic.partitions = asked.partitions.map { partition in
                let isMetadata = asked.name == Self.metadataTopic && partition.index == 0
                return isMetadata ? describeQuorum() : Self.unknown(partition.index)
            }
            return topic
        }
        let members = replica?.raft.members
        let shown = Set((members?.voters ?? []) + (members?.learners ?? []))
        response.nodes = state.nodes.filter { shown.contains($0.id) }.map { node in
            var listener = RaftVoterListener()
            listener.name = Self.listenerName
            listener.host = node.peer.host
            listener.port = node.peer.port
            var answer = DescribeQuorumResponse.Node()
            answer.id = node.id.rawValue
            answer.listeners = [listener]
            return answer
        }
        return response
    }

    private static var metadataTopic: String { "__cluster_metadata" }
    private static var listenerName: String { "CONTROLLER" }

    private static func unknown(_ index: Int32) -> DescribeQuorumResponse.Partition {
        var answer = DescribeQuorumResponse.Partition()
        answer.index = index
        answer.error = .unknownTopicOrPartition
        answer.errorMessage = "only partition 0 of \(metadataTopic) has a quorum that can be described"
        answer.leaderID = -1
        answer.leaderEpoch = -1
        answer.highWatermark = -1
        return answer
    }

    private func describeQuorum() -> DescribeQuorumResponse.Partition {
        var answer = DescribeQuorumResponse.Partition()
        guard let replica, let end = replica.highWatermark else {
            answer.error = .leaderNotAvailable
            answer.leaderID = -1
            return answer
        }
        answer.leaderID = shard.settings.node.rawValue
        answer.leaderEpoch = replica.term.rawValue
        answer.highWatermark = end.rawValue
        answer.voters = replica.raft.members.voters.map(describe)
        answer.observers = replica.raft.members.learners.map(describe)
        return answer
    }

    private func describe(_ node: NodeID) -> DescribeQuorumResponse.Replica {
        var answer = DescribeQuorumResponse.Replica()
        answer.id = node.rawValue
        answer.logEndOffset = -1
        if let directory = state.node(node)?.directory {
            answer.directoryID = TopicID(high: directory.high, low: directory.low)
        }
        guard let replica else { return answer }
        let wallClock = shard.environment.wallClock
        if node == shard.settings.node {
            answer.logEndOffset = replica.log.endOffset.rawValue
            answer.lastFetchTimestamp = wallClock.milliseconds
            answer.lastCaughtUpTimestamp = wallClock.milliseconds
        } else if let progress = replica.raft.progress(of: node) {
            answer.logEndOffset = replica.log.offset(at: progress.match).rawValue
            let silence = shard.environment.now.nanoseconds(since: progress.lastHeard) / 1_000_000
            answer.lastFetchTimestamp = wallClock.milliseconds - Int64(silence)
            answer.lastCaughtUpTimestamp = caughtUp[node]?.milliseconds ?? -1
        }
        return answer
    }

    /// Looks at who has all of the log now, and whom that is news for.
    func noteQuorum() {
        guard let replica, replica.isLeader else { return }
        let members = replica.raft.members
        for node in members.voters + members.learners {
            guard let progress = replica.raft.progress(of: node), progress.match == replica.log.end else { continue }
            let silence = shard.environment.now.nanoseconds(since: progress.lastHeard) / 1_000_000
            caughtUp[node] = Timestamp(milliseconds: shard.environment.wallClock.milliseconds - Int64(silence))
        }
        answerWaitingVoters()
    }

    // MARK: - AddRaftVoter (80), RemoveRaftVoter (81)

    /// How long a change of voters is waited for at most: other nodes wait ten seconds for an answer.
    private static var voterPatience: UInt64 { 8_000_000_000 }

    func addVoter(_ request: AddRaftVoterRequest, done: @escaping (AddRaftVoterResponse) -> Void) {
        func answer(_ error: ErrorCode, _ reason: String?) {
            var response = AddRaftVoterResponse()
            response.error = error
            response.errorMessage = reason
            done(response)
        }
        guard isCluster(request.clusterID) else { return answer(.inconsistentClusterID, Self.otherCluster) }
        guard request.voterID >= 0, request.directoryID != .zero else {
            return answer(.invalidRequest, "the request names no voter with its directory")
        }
        let id = NodeID(request.voterID)
        guard let node = state.node(id) else {
            return answer(.invalidRequest, "node \(request.voterID) does not belong to the cluster; start it first")
        }
        guard let replica, replica.highWatermark != nil else { return answer(.requestTimedOut, Self.noLeader) }
        guard !replica.raft.members.voters.contains(id) else {
            return answer(.duplicateVoter, "node \(request.voterID) votes already")
        }
        guard DirectoryID(request.directoryID) == node.directory else {
            return answer(.invalidVoterKey, "node \(request.voterID) has data directory \(node.directory)")
        }
        guard !state.isDraining(id) else {
            return answer(.invalidRequest, "node \(request.voterID) is being emptied")
        }
        let patience = min(Self.voterPatience, UInt64(max(request.timeout, 0)) * 1_000_000)
        wish(.voter, for: id, patience: request.acknowledgesWhenCommitted ? patience : nil, done: answer)
    }

    func removeVoter(_ request: RemoveRaftVoterRequest, done: @escaping (RemoveRaftVoterResponse) -> Void) {
        func answer(_ error: ErrorCode, _ reason: String?) {
            var response = RemoveRaftVoterResponse()
            response.error = error
            response.errorMessage = reason
            done(response)
        }
        guard isCluster(request.clusterID) else { return answer(.inconsistentClusterID, Self.otherCluster) }
        guard request.voterID >= 0, request.directoryID != .zero else {
            return answer(.invalidRequest, "the request names no voter with its directory")
        }
        guard let replica, replica.highWatermark != nil else { return answer(.requestTimedOut, Self.noLeader) }
        let id = NodeID(request.voterID)
        let voters = replica.raft.members.voters
        guard voters.contains(id), state.node(id)?.directory == DirectoryID(request.directoryID) else {
            return answer(
                .voterNotFound,
                "node \(request.voterID) with that directory is none of the voters "
                    + voters.map { "\($0.rawValue)" }.joined(separator: ", "))
        }
        guard voters.count > 1 else { return answer(.invalidRequest, "the last voter cannot be taken away") }
        wish(.observer, for: id, patience: Self.voterPatience, done: answer)
    }

    private static var otherCluster: String { "the request is for a cluster with another id" }
    private static var noLeader: String { "the leader of the metadata has not settled yet; ask again" }

    private func isCluster(_ id: String?) -> Bool { id == nil || id == state.clusterID?.description }

    /// - Parameter patience: how long to wait until it has come true, in nanoseconds; `nil` for not at all.
    private func wish(
        _ wish: VoterWish, for node: NodeID, patience: UInt64?, done: @escaping (ErrorCode, String?) -> Void
    ) {
        propose(.wishVoter(node, wish)) { result in
            if case .failure(let failure) = result { return done(ErrorCode(failure), failure.explanation) }
            guard let patience else { return done(.none, nil) }
            let deadline = self.shard.environment.now.advanced(byNanoseconds: patience)
            self.waitingVoters.append(
                VoterWait(deadline: deadline, node: node, shallVote: wish == .voter, done: done))
            self.answerWaitingVoters()
        }
    }

    private func answerWaitingVoters() {
        guard !waitingVoters.isEmpty, let replica else { return }
        let now = shard.environment.now
        let members = replica.membersCommitted
        var left: [VoterWait] = []
        for wait in waitingVoters {
            if let members, members.voters.contains(wait.node) == wait.shallVote {
                wait.done(.none, nil)
            } else if wait.deadline <= now {
                wait.done(.requestTimedOut, "the change is wanted, but not in force yet")
            } else {
                left.append(wait)
            }
        }
        waitingVoters = left
    }

    func failWaitingVoters() {
        let waiting = waitingVoters
        waitingVoters = []
        for wait in waiting { wait.done(.notController, "this node is not the controller any more; ask again") }
    }
}

extension DirectoryID {
    fileprivate init(_ id: TopicID) { self.init(high: id.high, low: id.low) }
}
