// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import Simulation
import Testing

/// What only a simulated disk can show: what a loss of power leaves.
struct SimFileSystemTests {
    private func prepared(seed: UInt64) throws -> (SimFileSystem, SimFile) {
        let files = SimFileSystem(seed: seed)
        try files.makeDirectory("/data")
        let file = try files.open("/data/a", .createNew)
        try file.put([UInt8](repeating: 1, count: 20_000), at: 0)
        try file.synchronize()
        try files.synchronizeDirectory("/data")
        return (files, file)
    }

    @Test(arguments: 0..<50 as Range<UInt64>)
    func whatWasSynchronizedIsThereAfterwards(seed: UInt64) throws {
        let (files, _) = try prepared(seed: seed)
        _ = try files.open("/data/b", .createNew)
        files.crash()
        #expect(try files.bytes(of: "/data/a") == [UInt8](repeating: 1, count: 20_000))
    }

    @Test func everyMixtureOfOldAndNewIsMetByFiftySeeds() throws {
        var outcomes: Set<String> = []
        for seed in 0..<50 as Range<UInt64> {
            let (files, file) = try prepared(seed: seed)
            try file.put([UInt8](repeating: 2, count: 20_000), at: 4_096)
            files.crash()
            let bytes = try files.bytes(of: "/data/a")
            #expect(bytes.prefix(4_096).allSatisfy { $0 == 1 })
            let old = bytes.dropFirst(4_096).contains(1)
            let new = bytes.contains(2)
            let isTorn = (1..<bytes.count).contains { bytes[$0] != bytes[$0 - 1] && $0 % 4_096 != 0 }
            outcomes.insert("\(old) \(new) \(isTorn)")
            if bytes.count < 24_096 { outcomes.insert("short") }
            if bytes.contains(0) { outcomes.insert("hole") }
        }
        #expect(outcomes.isSuperset(of: ["true false false", "false true false", "true true true", "short", "hole"]))
    }

    @Test func theSameSeedLosesTheSame() throws {
        func run() throws -> [UInt8] {
            let (files, file) = try prepared(seed: 7)
            for at in 0..<6 { try file.put([UInt8](repeating: 3, count: 9_000), at: Int64(at * 7_000)) }
            files.crash()
            return try files.bytes(of: "/data/a")
        }
        #expect(try run() == run())
    }

    @Test func aNameIsLostWithoutASyncOfItsDirectoryAndKeptWithOne() throws {
        for sync in [false, true] {
            let files = SimFileSystem(seed: 1)
            try files.makeDirectory("/data")
            try files.open("/data/a", .createNew).synchronize()
            if sync { try files.synchronizeDirectory("/data") }
            files.crash(.all)
            #expect(try files.exists("/data/a") == sync)
        }
    }

    @Test func aRemovedNameComesBackWithoutASync() throws {
        let (files, _) = try prepared(seed: 1)
        try files.remove("/data/a")
        files.crash(.all)
        #expect(try files.bytes(of: "/data/a").count == 20_000)
    }

    @Test(arguments: 0..<30 as Range<UInt64>)
    func aRenameHappensWhollyOrNotAtAll(seed: UInt64) throws {
        let (files, _) = try prepared(seed: seed)
        let fresh = try files.open("/data/a.new", .createNew)
        try fresh.put([5], at: 0)
        try fresh.synchronize()
        try files.synchronizeDirectory("/data")
        try files.rename("/data/a.new", to: "/data/a")
        files.crash()
        let names = try files.list("/data")
        #expect(names == ["a"] || names == ["a", "a.new"])
        #expect(try files.bytes(of: "/data/a").count == (names.count == 1 ? 1 : 20_000))
    }

    @Test func anOldFileIsOfNoUseAfterACrash() throws {
        let (files, file) = try prepared(seed: 1)
        files.crash(.nothing)
        #expect(throws: DiskError(.synchronize, code: 5, path: "/data/a")) { try file.synchronize() }
        #expect(throws: DiskError(.write, code: 5, path: "/data/a")) { try file.put([1], at: 0) }
        #expect(try files.bytes(of: "/data/a").count == 20_000)
    }

    @Test func aFailedSyncMarksPagesCleanThatTheNextDoesNotWrite() throws {
        let (files, file) = try prepared(seed: 1)
        try file.put([9], at: 0)
        files.fail(.synchronize, on: "/data/a")
        #expect(throws: DiskError(.synchronize, code: 5, path: "/data/a")) { try file.synchronize() }
        try file.synchronize()
        #expect(try file.get(1, at: 0) == [9])
        files.crash()
        #expect(try files.bytes(of: "/data/a")[0] == 1)
    }

    @Test func aFullDiskTakesAPartAndSaysSo() throws {
        let (files, file) = try prepared(seed: 1)
        files.capacity = 20_100
        #expect(throws: DiskError(.write, code: 28, path: "/data/a")) {
            try file.put([UInt8](repeating: 4, count: 300), at: 20_000)
        }
        #expect(try file.size() == ByteCount(20_100))
        try file.put([8], at: 0)
        try file.truncate(to: ByteCount(10_000))
        try file.put([UInt8](repeating: 4, count: 300), at: 10_000)
    }

    @Test func faultsComeWhenTheyArePlanned() throws {
        let (files, file) = try prepared(seed: 1)
        files.fail(.read, code: 5, after: 1, times: 2)
        _ = try file.get(1, at: 0)
        for _ in 0..<2 { #expect(throws: DiskError.self) { try file.get(1, at: 0) } }
        _ = try file.get(1, at: 0)
    }

    @Test func aLyingDiskKeepsNothing() throws {
        let (files, file) = try prepared(seed: 1)
        files.ignoresSync = true
        try file.put([9], at: 0)
        try file.synchronize()
        files.crash(.all)
        #expect(try files.bytes(of: "/data/a")[0] == 1)
    }

    @Test func aTruncationMayBeUndoneButNotHalf() throws {
        var sizes: Set<Int> = []
        for seed in 0..<40 as Range<UInt64> {
            let (files, file) = try prepared(seed: seed)
            try file.truncate(to: ByteCount(8_192))
            files.crash()
            sizes.insert(try files.bytes(of: "/data/a").count)
        }
        #expect(sizes == [8_192, 20_000])
    }
}
