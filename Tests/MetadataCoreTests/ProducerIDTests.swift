// SPDX-License-Identifier: Apache-2.0

import LogModel
import MetadataCore
import Testing

@Suite struct ProducerIDTests {
    private func claim(_ node: Int32, _ nonce: UInt64 = 1) -> MetadataCommand {
        .allocateProducerIDs(ProducerIDClaim(node: NodeID(node), nonce: nonce))
    }

    @Test func eachClaimGetsTheNextThousand() {
        var state = ClusterState.formed()
        #expect(
            state.apply(claim(1))
                == .producerIDsAllocated(.init(first: 0), for: ProducerIDClaim(node: NodeID(1), nonce: 1)))
        #expect(
            state.apply(claim(2, 7))
                == .producerIDsAllocated(.init(first: 1_000), for: ProducerIDClaim(node: NodeID(2), nonce: 7)))
        #expect(state.nextProducerID == 2_000)
    }

    @Test func aNodeThatIsNotRegisteredGetsNone() {
        var state = ClusterState.formed()
        #expect(state.apply(claim(9)) == .refused(.unknownNode(NodeID(9))))
        #expect(state.nextProducerID == 0)
        var unformed = ClusterState()
        #expect(unformed.apply(claim(1)) == .refused(.clusterNotFormed))
    }

    @Test func aClaimThatIsReadAgainGivesNothingNew() {
        var state = ClusterState.formed()
        let offset = state.end
        state.apply(claim(1), at: offset)
        #expect(state.apply(claim(1), at: offset) == .alreadyApplied)
        #expect(state.nextProducerID == 1_000)
    }

    @Test func theSnapshotKeepsTheNextIDAndOldSnapshotsAreStillRead() throws {
        var state = ClusterState.formed()
        state.apply(newTopic("a", id: 5, placements([2])))
        let old = state.encodeSnapshot()
        #expect(old.first == 1, "nothing that an older node could not read")
        #expect(try ClusterState(snapshot: old).nextProducerID == 0)
        state.apply(claim(1))
        let new = state.encodeSnapshot()
        #expect(new.first == 2)
        #expect(try ClusterState(snapshot: new) == state)
        for length in new.indices {
            #expect(throws: MetadataDecodingError.truncated) { try ClusterState(snapshot: Array(new[..<length])) }
        }
        #expect(throws: MetadataDecodingError.malformed("the next producer id")) {
            try ClusterState(snapshot: [2] + Array(old.dropFirst()) + [0])
        }
        #expect(throws: MetadataDecodingError.malformed("the next producer id")) {
            try ClusterState(snapshot: [2] + Array(old.dropFirst()) + [UInt8](repeating: 0xff, count: 9) + [1])
        }
        #expect(throws: MetadataDecodingError.unknownVersion(5)) { try ClusterState(snapshot: [5]) }
    }

    @Test func whenAllAreGivenOutThatIsSaid() throws {
        let bytes = [2] + Array(ClusterState.formed().encodeSnapshot().dropFirst())
        // Int64.max − 1,000, and one more.
        for (last, fits) in [(0x97, true), (0x98, false)] as [(UInt8, Bool)] {
            let next = [last, 0xf8] + [UInt8](repeating: 0xff, count: 6) + [0x7f]
            var state = try ClusterState(snapshot: bytes + next)
            let change = state.apply(claim(1))
            #expect((change == .refused(.producerIDsExhausted)) == !fits, "\(change)")
        }
    }

    @Test func aSupplyAsksInTimeAndGivesEachIDOnce() {
        var state = ClusterState.formed()
        var supply = ProducerIDSupply(node: NodeID(1))
        #expect(supply.isLow && supply.take() == nil)
        var seen: [Int64] = []
        var claims: UInt64 = 0
        while seen.count < 5_000 {
            if supply.isLow {
                claims += 1
                guard case .producerIDsAllocated(let block, let claim) = state.apply(supply.claim(nonce: claims)) else {
                    Issue.record("no block")
                    return
                }
                #expect(supply.take(block, for: claim) == true)
                #expect(supply.take(block, for: claim) == false, "a claim brings one block")
            }
            guard let id = supply.take() else {
                Issue.record("it asked too late")
                return
            }
            seen.append(id)
        }
        #expect(seen == Array(0..<5_000))
        #expect(claims == 6)
    }

    @Test(arguments: 0..<50 as Range<UInt64>)
    func noIDIsGivenTwiceOverRestartsAndNodes(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var state = ClusterState.formed()
        var changes: [(ProducerIDBlock, ProducerIDClaim)] = []
        var supplies = (1...3).map { ProducerIDSupply(node: NodeID(Int32($0))) }
        /// How many of the changes each node has applied.
        var applied = [0, 0, 0]
        var seen: Set<Int64> = []
        for _ in 0..<4_000 {
            let node = Int.random(in: 0..<3, using: &random)
            switch Int.random(in: 0..<100, using: &random) {
            case 0:
                // A new life reads the log again from some point, the whole of it at worst.
                supplies[node] = ProducerIDSupply(node: NodeID(Int32(node + 1)))
                applied[node] = Int.random(in: 0...applied[node], using: &random)
            case ..<8:
                // Asked for, and perhaps asked again because the answer is late.
                let change = state.apply(supplies[node].claim(nonce: random.next()))
                if case .producerIDsAllocated(let block, let claim) = change { changes.append((block, claim)) }
            case ..<20:
                while applied[node] < changes.count {
                    let (block, claim) = changes[applied[node]]
                    applied[node] += 1
                    _ = supplies[node].take(block, for: claim)
                }
            default:
                for _ in 0..<20 {
                    guard let id = supplies[node].take() else { break }
                    #expect(seen.insert(id).inserted, "\(id)")
                }
            }
        }
        #expect(seen.count > 1_000)
    }
}
