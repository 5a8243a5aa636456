// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import Simulation
import Testing

/// What a simulated disk does to what it was trusted with.
struct SimRotTests {
    private static let path = "/data/a"
    private static let sector = 512

    /// A durable file in which every sector is full of its own number, with 88 bytes in its last one.
    private func prepared(seed: UInt64) throws -> (SimFileSystem, SimFile, [UInt8]) {
        let files = SimFileSystem(seed: seed)
        try files.makeDirectory("/data")
        let file = try files.open(Self.path, .createNew)
        let content = (0..<20 * Self.sector + 88).map { UInt8($0 / Self.sector + 1) }
        try file.put(content, at: 0)
        try file.synchronize()
        try files.synchronizeDirectory("/data")
        return (files, file, content)
    }

    @Test(arguments: SimFileSystem.Rot.allCases)
    func eachKindOfRotSpoilsOneSectorAndOutlivesAPowerLoss(kind: SimFileSystem.Rot) throws {
        for seed in 0..<20 as Range<UInt64> {
            let (files, file, content) = try prepared(seed: seed)
            guard let rotten = try files.rot(Self.path, kind) else { continue }
            let first = rotten.position / Self.sector * Self.sector
            let spoiled = first..<min(first + Self.sector, content.count)
            files.crash(.all)
            let found = try files.bytes(of: Self.path)
            #expect(found.count == content.count)
            let changed = content.indices.filter { found[$0] != content[$0] }
            #expect(changed.allSatisfy(spoiled.contains))
            switch kind {
            case .bit: #expect(changed.count == 1)
            case .garbage, .zeros: #expect(!changed.isEmpty)
            case .misdirected:
                #expect(!changed.isEmpty)
                #expect(Set(found[spoiled]).subtracting([content[first]]).count <= 1)
            case .unreadable: #expect(changed.isEmpty)
            }
            #expect(throws: DiskError.self) { try file.get(1, at: 0) }
        }
    }

    @Test func aSectorThatCannotBeReadIsMendedByAWrite() throws {
        let (files, file, content) = try prepared(seed: 3)
        let position = try #require(try files.rot(Self.path, .unreadable)).position
        let first = position / Self.sector * Self.sector
        #expect(throws: DiskError(.read, code: 5, path: Self.path)) { try file.get(1, at: Int64(position)) }
        #expect(throws: DiskError(.read, code: 5, path: Self.path)) { try file.get(content.count, at: 0) }
        if first > 0 { #expect(try file.get(first, at: 0) == Array(content[..<first])) }
        try file.put([7], at: Int64(first))
        #expect(try file.get(1, at: Int64(first)) == [7])
    }

    @Test func whatIsNotDurableDoesNotRot() throws {
        let files = SimFileSystem(seed: 1)
        try files.makeDirectory("/data")
        try files.open(Self.path, .createNew).put([1, 2, 3], at: 0)
        #expect(try files.rot(Self.path) == nil)
        #expect(try files.bytes(of: Self.path) == [1, 2, 3])
    }

    /// Sectors that were being written are old, new, or neither; what was durable in them and not changed stays.
    @Test func aTornPageMayHoldGarbageAndOnlyWhereItWasBeingChanged() throws {
        var hasGarbage = false
        for seed in 0..<200 as Range<UInt64> {
            let (files, file, content) = try prepared(seed: seed)
            try file.put([UInt8](repeating: 200, count: 3_000), at: Int64(content.count))
            files.crash()
            let found = try files.bytes(of: Self.path)
            #expect(Array(found.prefix(content.count)) == content)
            if found.dropFirst(content.count).contains(where: { $0 != 0 && $0 != 200 }) { hasGarbage = true }
        }
        #expect(hasGarbage)
    }
}
