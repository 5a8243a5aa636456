// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc
import LogModel
import Simulation

/// The two kinds of files that a log is tested on.
enum DiskKind: String, CaseIterable, Sendable { case real, simulated }

/// Real or simulated files behind one type, so that one test body serves both.
struct TestFiles: FileSystem {
    private enum Below: Sendable {
        case real(RealFileSystem)
        case simulated(SimFileSystem)
    }

    private let below: Below

    init(_ kind: DiskKind) {
        below = kind == .real ? .real(RealFileSystem()) : .simulated(SimFileSystem(seed: 1))
    }

    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> TestFile {
        switch below {
        case .real(let files): TestFile(.real(try files.open(path, mode)))
        case .simulated(let files): TestFile(.simulated(try files.open(path, mode)))
        }
    }

    func makeDirectory(_ path: String) throws(DiskError) {
        switch below {
        case .real(let files): try files.makeDirectory(path)
        case .simulated(let files): try files.makeDirectory(path)
        }
    }

    func list(_ path: String) throws(DiskError) -> [String] {
        switch below {
        case .real(let files): try files.list(path)
        case .simulated(let files): try files.list(path)
        }
    }

    func rename(_ path: String, to newPath: String) throws(DiskError) {
        switch below {
        case .real(let files): try files.rename(path, to: newPath)
        case .simulated(let files): try files.rename(path, to: newPath)
        }
    }

    func remove(_ path: String) throws(DiskError) {
        switch below {
        case .real(let files): try files.remove(path)
        case .simulated(let files): try files.remove(path)
        }
    }

    func removeTree(_ path: String) throws(DiskError) {
        switch below {
        case .real(let files): try files.removeTree(path)
        case .simulated(let files): try files.removeTree(path)
        }
    }

    func synchronizeDirectory(_ path: String) throws(DiskError) {
        switch below {
        case .real(let files): try files.synchronizeDirectory(path)
        case .simulated(let files): try files.synchronizeDirectory(path)
        }
    }

    func exists(_ path: String) throws(DiskError) -> Bool {
        switch below {
        case .real(let files): try files.exists(path)
        case .simulated(let files): try files.exists(path)
        }
    }

    func size(of path: String) throws(DiskError) -> ByteCount {
        switch below {
        case .real(let files): try files.size(of: path)
        case .simulated(let files): try files.size(of: path)
        }
    }

    func space(at path: String) throws(DiskError) -> VolumeSpace {
        switch below {
        case .real(let files): try files.space(at: path)
        case .simulated(let files): try files.space(at: path)
        }
    }
}

final class TestFile: StorageFile {
    enum Below: Sendable {
        case real(RealFile)
        case simulated(SimFile)
    }

    private let below: Below

    init(_ below: Below) { self.below = below }

    private var file: any StorageFile {
        switch below {
        case .real(let file): file
        case .simulated(let file): file
        }
    }

    func size() throws(DiskError) -> ByteCount { try file.size() }
    func write(_ pieces: [UnsafeRawBufferPointer], at position: ByteCount) throws(DiskError) {
        try file.write(pieces, at: position)
    }
    func read(into buffer: UnsafeMutableRawBufferPointer, at position: ByteCount) throws(DiskError) -> Int {
        try file.read(into: buffer, at: position)
    }
    func truncate(to size: ByteCount) throws(DiskError) { try file.truncate(to: size) }
    func synchronize() throws(DiskError) { try file.synchronize() }
    var descriptor: CInt? { file.descriptor }
}

/// Runs `body` with files of the kind and an empty directory, which is removed afterwards.
func withFiles(_ kind: DiskKind, _ body: (TestFiles, String) throws -> Void) throws {
    let files = TestFiles(kind)
    switch kind {
    case .simulated:
        try files.makeDirectory("/data")
        try body(files, "/data")
    case .real:
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array((base + "/godwit-log-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw DiskError(.makeDirectory, code: errno, path: base) }
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { try? files.removeTree(directory) }
        try body(files, directory)
    }
}
