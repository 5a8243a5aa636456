// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

extension SystemTests {
    @Suite struct HostileInputTests {
        @Test func tenThousandMalformedFramesDisturbNobody() throws {
            try withCluster { cluster in
                try cluster.createTopic("undisturbed", partitions: 3)
                try cluster.createTopic("victim")
                let load = try SteadyLoad(cluster, topic: "undisturbed", partitions: 3)
                let target = try cluster.leader(of: "undisturbed")
                let (pid, sockets) = (target.pid, target.openSockets)

                struct Attack: Decodable { let sent: Int }
                let attack = try cluster.place.start([
                    Workplace.python, Workplace.script("malformed.py"), "--address", target.address, "--count", "10000",
                ])
                var most = 0
                try wait(for: "the end of the attack", upTo: 120, lookingEvery: 100) {
                    most = max(most, target.residentBytes)
                    return !attack.isRunning
                }
                try #require(attack.exitCode == 0, "\(attack.tail(20))")
                let sent = try JSONDecoder().decode(Attack.self, from: Data(attack.outputText.utf8)).sent
                try #require(sent == 10_000)

                try load.waitForAcknowledgements("after the attack", upTo: 5)
                let (progress, gap) = try load.stop()
                try #require(target.pid == pid, "node \(target.id) has ended")
                try #require(progress.failed == 0, "\(progress)")
                try #require(gap < 2000, "the other client waited \(gap) ms")
                try #require(most < 300 << 20, "\(most >> 20) MiB resident during the attack")
                try load.requireNothingLost()
                // Files are no measure: a frame may well ask for a coordinator, and its topic is made then.
                try wait(for: "the attack's connections to go; \(sockets) before, now \(target.openSockets)") {
                    target.openSockets <= sockets + 8
                }
            }
        }
    }
}
