// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc
import LogModel
import Simulation
import Testing

/// What holds for the machine's files and for simulated ones alike.
struct FileSystemContractTests {
    enum Kind: String, CaseIterable { case real, simulated }

    /// Runs the same generic check in an empty directory of either file system.
    private func onEmptyDirectory(_ kind: Kind, _ check: any ContractCheck.Type) throws {
        switch kind {
        case .real:
            let directory = try makeTemporaryDirectory()
            defer { try? RealFileSystem().removeTree(directory) }
            try check.run(RealFileSystem(), directory)
        case .simulated:
            let files = SimFileSystem(seed: 1)
            try files.makeDirectory("/machine")
            try check.run(files, "/machine")
        }
    }

    @Test(arguments: Kind.allCases)
    func whatIsWrittenIsReadAtOnceAndShortOnlyAtTheEnd(kind: Kind) throws {
        try onEmptyDirectory(kind, WriteAndRead.self)
    }

    @Test(arguments: Kind.allCases)
    func manyPiecesAreWrittenInOrder(kind: Kind) throws { try onEmptyDirectory(kind, ManyPieces.self) }

    @Test(arguments: Kind.allCases)
    func openModesDifferAsTheySay(kind: Kind) throws { try onEmptyDirectory(kind, Modes.self) }

    @Test(arguments: Kind.allCases)
    func truncatingCutsAndExtendsWithZeros(kind: Kind) throws { try onEmptyDirectory(kind, Truncating.self) }

    @Test(arguments: Kind.allCases)
    func aRemovedFileStaysReadableForWhoHoldsIt(kind: Kind) throws { try onEmptyDirectory(kind, Removing.self) }

    @Test(arguments: Kind.allCases)
    func renamingReplaces(kind: Kind) throws { try onEmptyDirectory(kind, Renaming.self) }

    @Test(arguments: Kind.allCases)
    func directoriesListSortedAndGoWithTheirTree(kind: Kind) throws { try onEmptyDirectory(kind, Directories.self) }

    @Test func parentsAreFoundInTheText() {
        #expect(RealFileSystem.parent(of: "/a/b") == "/a")
        #expect(RealFileSystem.parent(of: "/a") == "/")
        #expect(RealFileSystem.parent(of: "a") == ".")
        #expect(RealFileSystem.parent(of: "a/b/c") == "a/b")
    }

    @Test func aRealFileHasADescriptorAndASimulatedOneHasNot() throws {
        let directory = try makeTemporaryDirectory()
        defer { try? RealFileSystem().removeTree(directory) }
        #expect(try RealFileSystem().open(directory + "/a", .createNew).descriptor != nil)
        #expect(try SimFileSystem(seed: 0).open("a", .createNew).descriptor == nil)
    }
}

func makeTemporaryDirectory() throws -> String {
    let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array((base + "/godwit-disk-XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else { throw DiskError(.makeDirectory, code: errno, path: base) }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

private protocol ContractCheck {
    static func run<FS: FileSystem>(_ files: FS, _ directory: String) throws
}

extension StorageFile {
    func put(_ bytes: [UInt8], at position: Int64) throws(DiskError) {
        try bytes.withUnsafeBufferPointer { (bytes) throws(DiskError) in
            try write([UnsafeRawBufferPointer(bytes)], at: ByteCount(position))
        }
    }

    func get(_ count: Int, at position: Int64) throws(DiskError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xee, count: count)
        let got = try bytes.withUnsafeMutableBufferPointer { (space) throws(DiskError) in
            try read(into: UnsafeMutableRawBufferPointer(space), at: ByteCount(position))
        }
        return Array(bytes[..<got])
    }
}

private func refused(_ operation: DiskError.Operation, _ code: Int32, _ work: () throws -> Void) {
    do {
        try work()
        Issue.record("\(operation) should have been refused")
    } catch let error as DiskError {
        #expect(error.operation == operation && error.code == code, "\(error)")
    } catch {
        Issue.record("\(error)")
    }
}

private enum WriteAndRead: ContractCheck {
    static func run<FS: FileSystem>(_ files: FS, _ directory: String) throws {
        let file = try files.open(directory + "/a", .createNew)
        #expect(try file.size() == .zero)
        try file.put([1, 2, 3], at: 0)
        try file.put([9], at: 5)
        #expect(try file.get(10, at: 0) == [1, 2, 3, 0, 0, 9])
        #expect(try file.get(2, at: 1) == [2, 3])
        #expect(try file.get(2, at: 6) == [])
        #expect(try files.size(of: directory + "/a") == ByteCount(6))
        try file.put([7, 7], at: 1)
        #expect(try files.open(directory + "/a", .readOnly).get(9, at: 0) == [1, 7, 7, 0, 0, 9])
        try file.synchronize()
    }
}

private enum ManyPieces: ContractCheck {
    static func run<FS: FileSystem>(_ files: FS, _ directory: String) throws {
        let file = try files.open(directory + "/a", .createNew)
        // More than one system call takes (1024), with empty ones among them.
        let bytes = (0..<5_000).map { UInt8(truncatingIfNeeded: $0) }
        try bytes.withUnsafeBufferPointer { (bytes) throws(DiskError) in
            var pieces: [UnsafeRawBufferPointer] = []
            for at in stride(from: 0, to: bytes.count, by: 2) {
                pieces.append(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes[at..<at + 2])))
                pieces.append(UnsafeRawBufferPointer(start: nil, count: 0))
            }
            try file.write(pieces, at: ByteCount(3))
            try file.write([], at: .zero)
        }
        #expect(try file.get(6_000, at: 0) == [0, 0, 0] + bytes)
    }
}

private enum Modes: ContractCheck {
    static func run<FS: FileSystem>(_ files: FS, _ directory: String) throws {
        let path = directory + "/a"
        refused(.open, ENOENT) { _ = try files.open(path, .existing) }
        refused(.open, ENOENT) { _ = try files.open(path, .readOnly) }
        refused(.open, ENOENT) { _ = try files.open(directory + "/none/a", .createNew) }
        try files.open(path, .createOrOpen).put([5], at: 0)
        refused(.open, EEXIST) { _ = try files.open(path, .createNew) }
        #expect(try files.open(path, .createOrOpen).get(1, at: 0) == [5])
        #expect(try files.open(path, .existing).get(1, at: 0) == [5])
        let reader = try files.open(path, .readOnly)
        refused(.write, EBADF) { try reader.put([1], at: 0) }
    }
}

private enum Truncating: ContractCheck {
    static func run<FS: FileSystem>(_ files: FS, _ directory: String) throws {
        let file = try files.open(directory + "/a", .createNew)
        try file.put([UInt8](repeating: 7, count: 10_000), at: 0)
        try file.truncate(to: ByteCount(5_000))
        #expect(try file.size() == ByteCount(5_000))
        try file.truncate(to: ByteCount(5_003))
        #expect(try file.get(10, at: 4_998) == [7, 7, 0, 0, 0])
        try file.put([1], at: 9_000)
        #expect(try file.get(4_000, at: 5_000) == [UInt8](repeating: 0, count: 4_000))
    }
}

private enum Removing: ContractCheck {
    static func run<FS: FileSystem>(_ files: FS, _ directory: String) throws {
        let file = try files.open(directory + "/a", .createNew)
        try file.put([1, 2], at: 0)
        try files.remove(directory + "/a")
        #expect(try !files.exists(directory + "/a"))
        #expect(try file.get(5, at: 0) == [1, 2])
        refused(.remove, ENOENT) { try files.remove(directory + "/a") }
        refused(.size, ENOENT) { _ = try files.size(of: directory + "/a") }
        let other = try files.open(directory + "/a", .createNew)
        #expect(try other.size() == .zero)
        #expect(try file.size() == ByteCount(2))
    }
}

private enum Renaming: ContractCheck {
    static func run<FS: FileSystem>(_ files: FS, _ directory: String) throws {
        try files.open(directory + "/a", .createNew).put([1], at: 0)
        let old = try files.open(directory + "/b", .createNew)
        try old.put([2], at: 0)
        try files.rename(directory + "/a", to: directory + "/b")
        #expect(try files.list(directory) == ["b"])
        #expect(try files.open(directory + "/b", .readOnly).get(1, at: 0) == [1])
        #expect(try old.get(1, at: 0) == [2])
        refused(.rename, ENOENT) { try files.rename(directory + "/a", to: directory + "/c") }
    }
}

private enum Directories: ContractCheck {
    static func run<FS: FileSystem>(_ files: FS, _ directory: String) throws {
        try files.makeDirectory(directory + "/d")
        try files.makeDirectory(directory + "/d")
        try files.makeDirectory(directory + "/d/e")
        for name in ["z", "a", "m"] { _ = try files.open(directory + "/d/" + name, .createNew) }
        #expect(try files.list(directory + "/d") == ["a", "e", "m", "z"])
        try files.synchronizeDirectory(directory + "/d")
        refused(.list, ENOENT) { _ = try files.list(directory + "/none") }
        refused(.makeDirectory, ENOENT) { try files.makeDirectory(directory + "/none/d") }
        refused(.synchronize, ENOENT) { try files.synchronizeDirectory(directory + "/none") }
        #expect(try files.exists(directory + "/d") && files.exists(directory + "/d/a"))
        #expect(try !files.exists(directory + "/d/a/b"))
        try files.removeTree(directory + "/d")
        try files.removeTree(directory + "/d")
        #expect(try files.list(directory) == [])
    }
}
