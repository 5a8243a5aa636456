// SPDX-License-Identifier: Apache-2.0

import Simulation
import Testing

/// The simulation must be able to fail: each fault put in on purpose is found, and by the right check.
@Suite struct PlantedFaultTests {
    private static let expected: [(PlantedFault, Set<Violation.Promise>)] = [
        (.lyingDisk, [.persistBeforeReply, .quorumLog]),
        (.forgottenVotes, [.persistBeforeReply, .voteOnce, .electionSafety]),
        (.forgedVotes, [.electionSafety, .leaderCompleteness]),
        (.forgedMatches, [.quorumLog, .committedIsDurable]),
        (.forgedCommits, [.quorumLog, .stateMachineSafety]),
        (.retractedCommit, [.monotonic]),
        (.earlyWatermark, [.quorumLog]),
        (.deafFollowers, [.liveness]),
        (.membersOnCommit, [.memberDiscipline]),
        (.earlyCommitReplies, [.groupOffsets]),
        (.coordinatorOfThePast, [.groupOffsets]),
        (.unfencedCommits, [.groupFencing]),
        (.forgottenLastCommit, [.groupOffsets]),
        (.forgetfulLeaders, [.producerOrder]),
        (.retractedStart, [.retention]),
        (.lostKey, [.retention]),
    ]

    @Test(arguments: PlantedFault.ofShards)
    func everyPlantedFaultIsFound(fault: PlantedFault) {
        let promises = Self.expected.first { $0.0 == fault }?.1 ?? []
        #expect(!promises.isEmpty, "each planted fault names the checks that must find it")
        var others: Set<Violation.Promise> = []
        for seed in UInt64(0)..<80 {
            guard let violation = Simulation.run(seed: seed, planted: fault).violation else { continue }
            if promises.contains(violation.promise) { return }
            // One fault can break several promises, and which of them first depends on the seed.
            others.insert(violation.promise)
        }
        Issue.record("\(fault) was never found by the checks that must find it, only by \(others)")
    }

    @Test func violationSaysHowToSeeItAgain() {
        for seed in UInt64(0)..<80 {
            let report = Simulation.run(seed: seed, planted: .earlyWatermark)
            guard report.violation != nil else { continue }
            #expect(report.description.contains("make sim SEED=\(seed)"))
            #expect(report.description.contains("C5"))
            return
        }
        Issue.record("nothing was found")
    }
}
