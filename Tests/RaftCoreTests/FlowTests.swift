// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Testing

/// Pipelining, windows, and what makes good for a loss.
@Suite struct FlowTests {
    private let small = RaftLimits(
        maxAppendBytes: ByteCount(200), maxInflightBytes: ByteCount(600), maxInflightAppends: 64)

    @Test func appendsFollowEachOtherWithoutWaitingForAnswers() {
        var bench = Bench(voters: 3, limits: small)
        bench.elect(0)
        for _ in 0..<5 { bench.propose(0) }
        bench.replicate(0)
        let sent = bench.appends(to: 1)
        #expect(sent.map(\.end) == [LogIndex(3), LogIndex(5), LogIndex(6)])
        #expect(zip(sent, sent.dropFirst()).allSatisfy { $0.end == $1.prev.end })
    }

    /// T-L15 (etcd-raft e419ba5).
    @Test func fullWindowHoldsBackAndAnAnswerOpensItAgain() {
        var bench = Bench(voters: 3, limits: small)
        bench.elect(0)
        for _ in 0..<20 { bench.propose(0) }
        bench.replicate(0)
        #expect(bench.appends(to: 1).count == 3)
        #expect(bench[0].isCaughtUp(NodeID(1)) == false)
        bench.settle()
        #expect(bench[0].commit == LogIndex(21))
        #expect(bench[0].isCaughtUp(NodeID(1)))
    }

    @Test func numberOfAppendsIsLimitedToo() {
        var bench = Bench(
            voters: 3,
            limits: RaftLimits(maxAppendBytes: ByteCount(1), maxInflightBytes: .mebibytes(1), maxInflightAppends: 4))
        bench.elect(0)
        for _ in 0..<20 { bench.propose(0) }
        bench.replicate(0)
        #expect(bench.appends(to: 1).count == 4)
    }

    /// Until a match is found no entries are sent: the probe's answer decides from where.
    @Test func probesCarryNoEntries() {
        var bench = Bench(voters: 3, logs: [[1, 1, 1], [1], [1, 1, 1]])
        bench.passes = Bench.cut([1], [0, 2])
        bench.elect(0)
        bench.flights = []
        bench.step(0, .peerConnected(NodeID(1)))
        bench.replicate(0)
        #expect(bench.appends(to: 1).count == 1)
        #expect(bench.appends(to: 1).allSatisfy { $0.runs.isEmpty })
        bench.replicate(0)
        #expect(bench.appends(to: 1).count == 1, "one question at a time")
    }

    /// T-L15: with nothing more to send, a lost append is noticed from the heartbeats' answers.
    @Test(arguments: [1, 3])
    func lostAppendIsSentAgainWithinAFewBeats(proposals: Int) {
        var bench = Bench(voters: 3, limits: small)
        bench.elect(0)
        bench.run(milliseconds: 300)
        for _ in 0..<proposals { bench.propose(0) }
        bench.replicate(0)
        bench.flights = []
        bench.run(milliseconds: 400)
        #expect(bench[0].commit == LogIndex(Int64(1 + proposals)))
        #expect(bench[1].commit > LogIndex(1) || bench[2].commit > LogIndex(1))
    }

    /// A lost answer costs at most one beat: the heartbeat's answer says the same.
    @Test func lostAppendReplyIsMadeGoodByTheNextHeartbeat() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.passes = { if case .appendReply = $0.message { false } else { true } }
        bench.propose(0)
        bench.settle()
        #expect(bench[0].commit == LogIndex(1))
        bench.run(milliseconds: 110)
        #expect(bench[0].commit == LogIndex(2))
    }

    @Test func lostProbeIsAskedAgain() {
        var bench = Bench(voters: 3)
        bench.passes = { if case .append = $0.message { false } else { true } }
        bench.elect(0)
        bench.passes = { _ in true }
        bench.run(milliseconds: 350)
        #expect(bench[0].hasCommittedInTerm)
    }

    /// Loss upon loss: patience grows, and still everything arrives.
    @Test func halfOfAllAppendsMayBeLost() {
        var bench = Bench(voters: 3, limits: small)
        bench.elect(0)
        var random = SeededRandom(seed: 4)
        bench.passes = { flight in
            guard case .append = flight.message else { return true }
            return random.chance(50)
        }
        for _ in 0..<12 { bench.propose(0) }
        bench.run(milliseconds: 10_000)
        #expect(bench[0].commit == LogIndex(13))
    }

    /// A gap is refused at once, so that loss in a stream costs one round trip and no beat.
    @Test func gapInTheStreamIsRepairedWithoutWaiting() {
        var bench = Bench(voters: 3, limits: small)
        bench.elect(0)
        for _ in 0..<6 { bench.propose(0) }
        bench.replicate(0)
        let first = bench.flights.firstIndex { if case .append = $0.message { $0.to == NodeID(1) } else { false } }
        if let first { bench.flights.remove(at: first) }
        bench.settle()
        #expect(bench[0].progress(of: NodeID(1))?.match == LogIndex(7))
    }

    /// A slow disk is no loss: what has arrived is held, durable or not.
    @Test func slowDiskIsNotTakenForALoss() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.propose(0)
        bench.replicate(0)
        let landing = bench.flights
        bench.flights = []
        for flight in landing { bench.deliver(flight) }
        for _ in 0..<20 {
            bench.pass(milliseconds: 100)
            bench.step(0, .tick)
            for flight in bench.flights where flight.from == NodeID(0) { bench.deliver(flight) }
            let answers = bench.flights.filter { $0.to == NodeID(0) }
            bench.flights = []
            for flight in answers { bench.deliver(flight) }
            bench.flights = []
            bench.replicate(0)
            #expect(bench.appends(to: 1).isEmpty)
        }
        #expect(bench[0].progress(of: NodeID(1))?.state == .replicating)
    }

    /// A follower that restarts without anybody noticing has lost what was not durable; heartbeats tell.
    /// T-L16 (redpanda cb6db3243a).
    @Test func forgottenEntriesAreNoticedFromHeartbeats() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.passes = { $0.to != NodeID(2) && $0.from != NodeID(2) }
        bench.propose(0)
        bench.replicate(0)
        for flight in bench.flights where flight.to == NodeID(1) { bench.deliver(flight) }
        bench.flights = []
        bench.pass(milliseconds: 100)
        bench.step(0, .tick)
        for _ in 0..<2 {
            let landing = bench.flights
            bench.flights = []
            for flight in landing where bench.passes(flight) { bench.deliver(flight) }
        }
        bench.crash(1)
        bench.restart(1)
        bench.run(milliseconds: 600)
        #expect(bench[0].commit == LogIndex(2))
    }

    /// T-L16: after its connection broke a peer is asked where it stands, at once when it is back.
    @Test func reconnectedPeerIsProbedAtOnce() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.step(0, .peerLost(NodeID(1)))
        #expect(bench[0].progress(of: NodeID(1))?.state == .probing)
        bench.propose(0)
        let output = bench.step(0, .peerConnected(NodeID(1)))
        #expect(output.wantsAppend)
        bench.settle()
        #expect(bench[0].progress(of: NodeID(1))?.match == LogIndex(2))
    }

    /// The heartbeat's commit is no more than the peer is known to hold (T-L12, openraft 2bdfae5d).
    @Test func heartbeatsCarryNoMoreCommitThanThePeerHolds() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.passes = Bench.cut([2], [0, 1])
        bench.propose(0)
        bench.settle()
        bench.flights = []
        bench.pass(milliseconds: 100)
        bench.step(0, .tick)
        for flight in bench.flights {
            guard case .heartbeat(let beat) = flight.message else { continue }
            #expect(beat.commit == (flight.to == NodeID(1) ? LogIndex(2) : LogIndex(1)))
        }
    }

    @Test func eagerGroupsTellEachCommitAtOnce() {
        for isEager in [false, true] {
            var bench = Bench(voters: 3, eagerCommit: isEager)
            bench.elect(0)
            bench.run(milliseconds: 200)
            bench.propose(0)
            bench.settle()
            #expect(bench[1].commit == LogIndex(isEager ? 2 : 1))
        }
    }
}
