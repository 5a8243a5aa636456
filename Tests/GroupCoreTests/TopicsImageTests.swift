// SPDX-License-Identifier: Apache-2.0

import GroupCore
import LogModel
import Testing

@Suite struct TopicsImageTests {
    @Test func topicsAreFoundByNameAndByID() {
        let id = TopicID(high: 1, low: 2)
        let image = TopicsImage([.init(id: id, name: "orders", partitionRacks: [[], []])])
        #expect(image.topic(named: "orders")?.partitionCount == 2)
        #expect(image.topic(id: id)?.name == "orders")
        #expect(image.topic(named: "others") == nil)
    }
}
