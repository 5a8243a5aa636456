// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient

/// A topic with all its partitions, or with some: `orders`, `orders:0,2,5-7`.
struct PartitionChoice: ExpressibleByArgument, Equatable {
    let topic: String
    /// `nil` for all; in order, each once.
    let partitions: [Int32]?

    init?(argument: String) {
        let sides = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = sides.first, !name.isEmpty else { return nil }
        topic = String(name)
        guard sides.count == 2 else {
            partitions = nil
            return
        }
        var chosen: Set<Int32> = []
        for part in sides[1].split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard let low = ends.first.flatMap({ Int32($0) }), let high = ends.last.flatMap({ Int32($0) }),
                ends.count <= 2, low >= 0, low <= high, high - low < 100_000
            else { return nil }
            chosen.formUnion(low...high)
        }
        partitions = chosen.sorted()
    }

    func covers(_ place: TopicPartition) -> Bool {
        place.topic == topic && partitions?.contains(place.partition) ?? true
    }
}
