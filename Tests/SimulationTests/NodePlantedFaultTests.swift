// SPDX-License-Identifier: Apache-2.0

import Simulation
import Testing

/// The simulation of whole nodes must be able to fail: each fault put in on purpose is found, and by the right check.
@Suite struct NodePlantedFaultTests {
    private static let expected: [(PlantedFault, Set<Violation.Promise>)] = [
        (.lyingDisk, [.persistBeforeReply, .quorumLog]),
        (.forgottenVotes, [.persistBeforeReply, .voteOnce, .electionSafety]),
        (.forgedVotes, [.electionSafety, .leaderCompleteness]),
        (.forgedMatches, [.quorumLog, .committedIsDurable]),
        (.forgedCommits, [.quorumLog, .stateMachineSafety]),
        (.retractedCommit, [.monotonic]),
        (.earlyWatermark, [.quorumLog]),
        (.deafFollowers, [.liveness]),
        (.forgetfulLeaders, [.producerOrder]),
        (.retractedStart, [.retention]),
        (.lostKey, [.retention]),
        (.hastyLeader, [.noLoss]),
        (.hastyFollowers, [.quorumLog, .committedIsDurable, .stopped]),
        (.oldTermCommit, [.currentTermCommit, .quorumLog, .stateMachineSafety]),
        (.fetchAboveWatermark, [.quorumLog]),
        (.committedCut, [.noTruncationBelowCommit]),
        (.staleEnds, [.history]),
        (.membersOnCommit, [.memberDiscipline]),
    ]

    @Test(arguments: PlantedFault.ofNodes)
    func everyPlantedFaultIsFound(fault: PlantedFault) {
        let promises = Self.expected.first { $0.0 == fault }?.1 ?? []
        #expect(!promises.isEmpty, "each planted fault names the checks that must find it")
        var others: Set<Violation.Promise> = []
        for seed in UInt64(0)..<80 {
            guard let violation = NodeSimulation.run(seed: seed, planted: fault).violation else { continue }
            if promises.contains(violation.promise) { return }
            // One fault can break several promises, and which of them first depends on the seed.
            others.insert(violation.promise)
        }
        Issue.record("\(fault) was never found by the checks that must find it, only by \(others)")
    }
}
