// SPDX-License-Identifier: Apache-2.0

import RegularExpressions
import Testing

@Suite struct RegularExpressionTests {
    @Test func aRefusalSaysWhy() {
        #expect(RegularExpressionError("unbalanced").reason == "unbalanced")
    }
}
