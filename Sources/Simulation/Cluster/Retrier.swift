// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RaftCore
import RecordBatches
import Replication

/// An idempotent producer, as the Java client and librdkafka are: it sends a batch under the same sequence number until
/// it is acknowledged, with several under way on one connection, and all of them again, in order, on the next one when
/// anything goes wrong. What it had sent before may still arrive after that.
final class Retrier {
    struct Batch {
        let sequence: Int32
        let bytes: ByteBuffer
    }

    let id: Int64
    let partition: Int
    var nextSequence: Int32 = 0
    /// In the order of their sequence numbers.
    var unacknowledged: [Batch] = []
    /// Counts its connections; answers on an earlier one are not heard.
    var connection = 0
    /// The connection on which an answer was lost, and with it all that follow, as on TCP.
    var deafConnection = 0
    var leader = 0
    /// Which life of the leader its connection goes to: it does not outlive that.
    var leaderLife = 0
    /// It has broken its connection off and waits before the next one.
    var isBetween = true

    init(id: Int64, partition: Int) {
        self.id = id
        self.partition = partition
    }

    func name(of batch: Batch) -> BatchName { BatchName(producer: id, number: batch.sequence) }
}

extension Cluster {
    func scheduleRetriers() {
        // A state machine's group has no clients: its snapshots say nothing of producers.
        let partitions = Array((climate.isStateful ? 1 : 0)..<climate.partitions)
        guard !partitions.isEmpty else { return }
        for number in 0..<climate.retriers {
            let partition = partitions[number % partitions.count]
            let retrier = Retrier(id: BatchName.firstRetrier + Int64(number), partition: partition)
            load.retriers.append(retrier)
            reconnect(retrier)
            scheduleNext(of: retrier)
        }
    }

    private func scheduleNext(of retrier: Retrier) {
        schedule(after: random.span(mean: climate.produceInterval)) {
            guard !self.isCalm else { return }
            if retrier.unacknowledged.count < self.climate.retrierWindow { self.begin(retrier) }
            self.scheduleNext(of: retrier)
        }
    }

    private func begin(_ retrier: Retrier) {
        let stamp = ProducerStamp(id: retrier.id, epoch: 0, baseSequence: retrier.nextSequence)
        let count = random.within(1...3)
        guard let bytes = batch(stamp, UInt64(retrier.nextSequence.magnitude), count: count) else {
            preconditionFailure("a simulated batch is well formed")
        }
        let batch = Retrier.Batch(sequence: retrier.nextSequence, bytes: bytes)
        retrier.nextSequence += Int32(count)
        retrier.unacknowledged.append(batch)
        records[retrier.partition].sending(retrier.name(of: batch))
        if !retrier.isBetween { send(batch, of: retrier) }
    }

    private func reconnect(_ retrier: Retrier) {
        retrier.connection += 1
        retrier.isBetween = true
        let connection = retrier.connection
        schedule(after: 2_000_000 + random.span(mean: 15_000_000)) {
            guard retrier.connection == connection else { return }
            retrier.isBetween = false
            retrier.leader = self.likelyLeader(of: retrier.partition)
            retrier.leaderLife = self.nodes[retrier.leader].life
            for batch in retrier.unacknowledged { self.send(batch, of: retrier) }
        }
    }

    private func send(_ batch: Retrier.Batch, of retrier: Retrier) {
        let connection = retrier.connection
        let place = retrier.leader
        schedule(on: place, life: retrier.leaderLife, after: 150_000) {
            self.append(batch, of: retrier, connection: connection, at: place)
        }
        // Never for so long that, of an answer lost at the end of the storm, it would not have heard before the cluster
        // must have come to rest.
        schedule(after: 100_000_000 + min(random.span(mean: 200_000_000), 400_000_000)) {
            guard retrier.connection == connection,
                retrier.unacknowledged.contains(where: { $0.sequence == batch.sequence })
            else { return }
            self.reconnect(retrier)
        }
    }

    private func append(_ batch: Retrier.Batch, of retrier: Retrier, connection: Int, at place: Int) {
        guard let head = try? EntryHead.parse(batch.bytes) else {
            preconditionFailure("a simulated batch is well formed")
        }
        guard let replica = nodes[place].shard?.replica(partition(retrier.partition)) else {
            schedule(after: 150_000) {
                guard retrier.connection == connection, retrier.deafConnection != connection else { return }
                self.answered(batch, of: retrier, .failed(.notLeader), byLatestLeader: false)
            }
            return
        }
        let acknowledgement = Acknowledgement.all(minimumInSync: climate.minimumInSync)
        let term = replica.term
        replica.produce(
            batch.bytes, head: head, acknowledgement: acknowledgement, stampsTime: false,
            deadline: Moment(nanoseconds: now + nodes[place].clockOffset + 400_000_000)
        ) { outcome in
            self.produced(retrier.name(of: batch), retrier.partition, acknowledgement, outcome)
            let isLatest = self.leaders[retrier.partition].map { $0.term <= term } ?? true
            // Answers are lost as letters are: until the calm.
            let isLost = self.random.chance(perMille: self.climate.lostAnswersPerMille) && !self.isCalm
            // One that comes late on an earlier connection says nothing of this one.
            if isLost, retrier.connection == connection { retrier.deafConnection = connection }
            // Those that went before on this connection arrive all the same.
            let isHeard = retrier.deafConnection != connection
            self.schedule(after: 150_000) {
                guard isHeard, retrier.connection == connection else { return }
                self.answered(batch, of: retrier, outcome, byLatestLeader: isLatest)
            }
        }
        statistics.produced += 1
    }

    private func answered(
        _ batch: Retrier.Batch, of retrier: Retrier, _ outcome: ProduceOutcome, byLatestLeader isLatest: Bool
    ) {
        guard let place = retrier.unacknowledged.firstIndex(where: { $0.sequence == batch.sequence }) else { return }
        switch outcome {
        case .stored:
            retrier.unacknowledged.remove(at: place)
        case .failed(.duplicateSequence), .failed(.staleProducerEpoch):
            broke(Violation(.producerOrder, "\(retrier.name(of: batch)) was refused: \(outcome)"))
        case .failed(.outOfOrderSequence) where place == 0 && isLatest,
            .failed(.unknownProducer) where place == 0 && isLatest:
            // What came before is acknowledged, so every leader has it. One that was voted out and has not heard of
            // it may lack it.
            broke(Violation(.producerOrder, "\(retrier.name(of: batch)) is next, and was refused: \(outcome)"))
        case .failed:
            reconnect(retrier)
        }
    }
}
