// SPDX-License-Identifier: Apache-2.0

import LogModel
import Testing

/// The rare branches of `LogStorage`, each with the test that is known to lead there.
@Suite struct MarkTests {
    @Test func eachMarkIsHit() throws {
        let probe = Probe()
        try Probe.$current.withValue(probe) { try RecoveryTests().everyTornTailIsCutToTheEntryBeforeIt() }
        #expect(probe.hasHit("PartitionLog.cut-torn-end"))
    }
}
