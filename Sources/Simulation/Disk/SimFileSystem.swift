// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel

/// The disk of a simulated machine, which can lose power, fill up and fail.
///
/// It keeps the three promises of `FileSystem` apart and no more than those: a byte that was written is visible, one
/// that was synchronized is durable, and a name is durable once its directory was synchronized. What a `crash` leaves
/// of the rest is decided by the seed: pages kept or lost one by one, pages torn between their sectors, lengths that
/// moved without their bytes, names that came back.
///
/// Directories directly below `/` or the working directory are durable at once.
// SAFETY: a simulation runs on one thread, and a test that uses this type directly does so from one task.
public final class SimFileSystem: FileSystem, @unchecked Sendable {
    /// What becomes of what was not synchronized.
    public enum Loss: Hashable, Sendable {
        /// Nothing is lost: the process died, the machine did not.
        case nothing
        /// Some, as the seed decides.
        case some
        /// Everything.
        case all
    }

    private let root = SimDirectory(isRoot: true)
    private var chance: SimRandom
    private var faults: [Fault] = []
    /// Counts crashes. A file that was opened before one is of no more use.
    fileprivate var life = 0
    private var used: Int64 = 0

    /// Bytes that fit; writes beyond are cut short and fail with `ENOSPC`.
    public var capacity: Int64?
    /// A disk that says "synchronized" and does nothing.
    public var ignoresSync = false
    /// How many synchronizations of files and directories have succeeded.
    public private(set) var syncs = 0

    public init(seed: UInt64) { chance = SimRandom(seed: seed) }

    // MARK: - Misfortune

    private struct Fault {
        let operation: DiskError.Operation
        let code: Int32
        let part: String
        var passes: Int
        var times: Int
    }

    /// Lets an operation fail.
    ///
    /// - Parameters:
    ///   - part: only for paths that contain this.
    ///   - passes: how often it succeeds before.
    ///   - times: how often it fails.
    public func fail(
        _ operation: DiskError.Operation, code: Int32 = 5, on part: String = "", after passes: Int = 0, times: Int = 1
    ) {
        faults.append(Fault(operation: operation, code: code, part: part, passes: passes, times: times))
    }

    /// Takes back what `fail` has planned.
    public func heal() { faults.removeAll() }

    /// Ends the process, or the machine. Files that are open become useless: all their operations fail with `EIO`.
    public func crash(_ loss: Loss = .some) {
        life += 1
        guard loss != .nothing else { return }
        root.losePower(keepsNothing: loss == .all, &chance)
        used = Self.size(of: root)
    }

    /// Changes one bit of a stored file.
    public func flip(bit: Int = 0, at position: ByteCount, of path: String) throws(DiskError) {
        try inode(at: path, .read).flip(bit: bit, at: Int(position.rawValue))
    }

    /// Lets the sector around a position be unreadable from now on, until it is written anew.
    public func loseSector(at position: ByteCount, of path: String) throws(DiskError) {
        try inode(at: path, .read).loseSector(at: Int(position.rawValue))
    }

    /// What becomes of stored bytes with the years.
    public enum Rot: String, CaseIterable, Sendable {
        /// One bit is another.
        case bit
        /// A sector is full of something else.
        case garbage
        case zeros
        /// A sector holds what another place holds: a write went astray.
        case misdirected
        /// A sector cannot be read: `EIO`.
        case unreadable
    }

    /// Lets what is durable rot at some place of a file. False when nothing of it is durable.
    ///
    /// - Parameter kind: how; drawn when `nil`.
    @discardableResult
    public func rot(_ path: String, _ kind: Rot? = nil) throws(DiskError) -> (kind: Rot, position: Int)? {
        let inode = try inode(at: path, .read)
        let stored = min(inode.durable.count, inode.visible.count)
        guard stored > 0 else { return nil }
        let kind = kind ?? chance.pick(Rot.allCases)
        let position = chance.below(stored)
        let sector = position / SimInode.sectorSize * SimInode.sectorSize
        let count = min(SimInode.sectorSize, stored - sector)
        switch kind {
        case .bit: inode.flip(bit: chance.below(8), at: position)
        case .garbage: inode.overwrite((0..<count).map { _ in UInt8(truncatingIfNeeded: chance.next()) }, at: sector)
        case .zeros: inode.overwrite(Array(repeating: 0, count: count), at: sector)
        case .misdirected:
            let other = chance.below(stored) / SimInode.sectorSize * SimInode.sectorSize
            guard other != sector else { return nil }
            inode.overwrite(Array(inode.durable[other..<min(other + count, stored)]), at: sector)
        case .unreadable: inode.loseSector(at: position)
        }
        return (kind, position)
    }

    /// The bytes of a file as they are visible, for comparisons.
    public func bytes(of path: String) throws(DiskError) -> [UInt8] { try inode(at: path, .read).visible }

    private func check(_ operation: DiskError.Operation, _ path: String) throws(DiskError) {
        for number in faults.indices where faults[number].operation == operation && path.contains(faults[number].part) {
            if faults[number].passes > 0 {
                faults[number].passes -= 1
            } else if faults[number].times > 0 {
                faults[number].times -= 1
                throw DiskError(operation, code: faults[number].code, path: path)
            }
        }
    }

    // MARK: - Files and directories

    public func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> SimFile {
        try check(.open, path)
        let (directory, name) = try parent(of: path, .open)
        switch directory.names[name] {
        case .directory: throw DiskError(.open, code: Code.isDirectory, path: path)
        case .file(let inode):
            guard mode != .createNew else { throw DiskError(.open, code: Code.exists, path: path) }
            return SimFile(inode, path: path, isReadOnly: mode == .readOnly, in: self)
        case nil:
            guard mode == .createNew || mode == .createOrOpen else {
                throw DiskError(.open, code: Code.missing, path: path)
            }
            let inode = SimInode()
            directory.set(name, to: .file(inode))
            return SimFile(inode, path: path, isReadOnly: false, in: self)
        }
    }

    public func makeDirectory(_ path: String) throws(DiskError) {
        try check(.makeDirectory, path)
        let (directory, name) = try parent(of: path, .makeDirectory)
        if directory.names[name] == nil { directory.set(name, to: .directory(SimDirectory())) }
    }

    public func list(_ path: String) throws(DiskError) -> [String] {
        try check(.list, path)
        return try self.directory(at: path, .list).names.keys.sorted()
    }

    public func rename(_ path: String, to newPath: String) throws(DiskError) {
        try check(.rename, path)
        let (from, name) = try parent(of: path, .rename)
        let (to, newName) = try parent(of: newPath, .rename)
        guard let node = from.names[name] else { throw DiskError(.rename, code: Code.missing, path: path) }
        if case .file(let replaced) = to.names[newName], !node.isSame(as: .file(replaced)) {
            used -= Int64(replaced.visible.count)
        }
        if from === to {
            from.rename(name, to: newName)
        } else {
            to.set(newName, to: node)
            from.set(name, to: nil)
        }
    }

    public func remove(_ path: String) throws(DiskError) {
        try check(.remove, path)
        let (directory, name) = try parent(of: path, .remove)
        switch directory.names[name] {
        case .file(let inode):
            used -= Int64(inode.visible.count)
            directory.set(name, to: nil)
        case .directory: throw DiskError(.remove, code: Code.isDirectory, path: path)
        case nil: throw DiskError(.remove, code: Code.missing, path: path)
        }
    }

    public func removeTree(_ path: String) throws(DiskError) {
        try check(.remove, path)
        guard let (directory, name) = try? parent(of: path, .remove), let node = directory.names[name] else { return }
        switch node {
        case .file(let inode): used -= Int64(inode.visible.count)
        case .directory(let removed): used -= Self.size(of: removed)
        }
        directory.set(name, to: nil)
    }

    public func synchronizeDirectory(_ path: String) throws(DiskError) {
        try check(.synchronize, path)
        let directory = try self.directory(at: path, .synchronize)
        syncs += 1
        if !ignoresSync { directory.synchronize() }
    }

    public func exists(_ path: String) throws(DiskError) -> Bool {
        try check(.size, path)
        return find(path) != nil
    }

    public func size(of path: String) throws(DiskError) -> ByteCount {
        try check(.size, path)
        return ByteCount(Int64(try inode(at: path, .size).visible.count))
    }

    public func space(at path: String) throws(DiskError) -> VolumeSpace {
        try check(.size, path)
        guard find(path) != nil else { throw DiskError(.size, code: Code.missing, path: path) }
        let total = capacity ?? .max
        return VolumeSpace(total: ByteCount(total), usable: ByteCount(max(0, total - used)))
    }

    // MARK: - What files ask

    fileprivate func write(_ pieces: [UnsafeRawBufferPointer], at position: Int, to file: SimFile) throws(DiskError) {
        var room = Int.max
        var failure: DiskError?
        let total = pieces.reduce(0) { $0 + $1.count }
        do throws(DiskError) {
            try check(.write, file.path)
        } catch {
            failure = error
            room = chance.below(total + 1)
        }
        if let capacity {
            let growth = max(0, Int64(position + total - file.inode.visible.count))
            if used + growth > capacity {
                failure = DiskError(.write, code: Code.noSpace, path: file.path)
                room = min(room, max(0, total - Int(used + growth - capacity)))
            }
        }
        var at = position
        let before = file.inode.visible.count
        for piece in pieces where room > 0 {
            let part = UnsafeRawBufferPointer(rebasing: piece.prefix(room))
            file.inode.write(part, at: at)
            at += part.count
            room -= part.count
        }
        used += Int64(file.inode.visible.count - before)
        if let failure { throw failure }
    }

    fileprivate func truncate(_ file: SimFile, to size: Int) throws(DiskError) {
        try check(.truncate, file.path)
        used += Int64(size - file.inode.visible.count)
        file.inode.truncate(to: size) { _ in chance.below(3) == 0 }
    }

    fileprivate func synchronize(_ file: SimFile) throws(DiskError) {
        do throws(DiskError) {
            try check(.synchronize, file.path)
        } catch {
            file.inode.failSynchronize()
            throw error
        }
        syncs += 1
        if !ignoresSync { file.inode.synchronize() }
    }

    fileprivate func checkRead(_ path: String) throws(DiskError) { try check(.read, path) }

    // MARK: - Paths

    fileprivate enum Code {
        static let missing: Int32 = 2
        static let inputOutput: Int32 = 5
        static let badDescriptor: Int32 = 9
        static let exists: Int32 = 17
        static let notDirectory: Int32 = 20
        static let isDirectory: Int32 = 21
        static let noSpace: Int32 = 28
    }

    private func find(_ path: String) -> SimDirectory.Node? {
        var node = SimDirectory.Node.directory(root)
        for name in path.split(separator: "/") where name != "." {
            guard case .directory(let directory) = node, let next = directory.names[String(name)] else { return nil }
            node = next
        }
        return node
    }

    private func directory(at path: String, _ operation: DiskError.Operation) throws(DiskError) -> SimDirectory {
        switch find(path) {
        case .directory(let directory): return directory
        case .file: throw DiskError(operation, code: Code.notDirectory, path: path)
        case nil: throw DiskError(operation, code: Code.missing, path: path)
        }
    }

    private func inode(at path: String, _ operation: DiskError.Operation) throws(DiskError) -> SimInode {
        switch find(path) {
        case .file(let inode): return inode
        case .directory: throw DiskError(operation, code: Code.isDirectory, path: path)
        case nil: throw DiskError(operation, code: Code.missing, path: path)
        }
    }

    private func parent(
        of path: String, _ operation: DiskError.Operation
    ) throws(DiskError) -> (SimDirectory, name: String) {
        guard let name = path.split(separator: "/").last, name != "." else {
            throw DiskError(operation, code: Code.exists, path: path)
        }
        return (try directory(at: Self.parent(of: path), operation), String(name))
    }

    private static func size(of directory: SimDirectory) -> Int64 {
        directory.names.values.reduce(0) { sum, node in
            switch node {
            case .file(let inode): sum + Int64(inode.visible.count)
            case .directory(let below): sum + size(of: below)
            }
        }
    }
}

/// An open file of a simulated machine.
// SAFETY: confined to one thread like the file system it belongs to.
public final class SimFile: StorageFile, @unchecked Sendable {
    fileprivate let inode: SimInode
    fileprivate let path: String
    private let isReadOnly: Bool
    private let system: SimFileSystem
    private let life: Int

    fileprivate init(_ inode: SimInode, path: String, isReadOnly: Bool, in system: SimFileSystem) {
        self.inode = inode
        self.path = path
        self.isReadOnly = isReadOnly
        self.system = system
        life = system.life
    }

    public var descriptor: CInt? { nil }

    public func size() throws(DiskError) -> ByteCount {
        try checkLife(.size)
        return ByteCount(Int64(inode.visible.count))
    }

    public func write(_ pieces: [UnsafeRawBufferPointer], at position: ByteCount) throws(DiskError) {
        try checkLife(.write)
        try checkWritable(.write)
        try system.write(pieces, at: Int(position.rawValue), to: self)
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer, at position: ByteCount) throws(DiskError) -> Int {
        try checkLife(.read)
        try system.checkRead(path)
        guard inode.isReadable(buffer.count, at: Int(position.rawValue)) else {
            throw DiskError(.read, code: SimFileSystem.Code.inputOutput, path: path)
        }
        return inode.read(into: buffer, at: Int(position.rawValue))
    }

    public func truncate(to size: ByteCount) throws(DiskError) {
        try checkLife(.truncate)
        try checkWritable(.truncate)
        try system.truncate(self, to: Int(size.rawValue))
    }

    public func synchronize() throws(DiskError) {
        try checkLife(.synchronize)
        try system.synchronize(self)
    }

    private func checkLife(_ operation: DiskError.Operation) throws(DiskError) {
        guard life == system.life else { throw DiskError(operation, code: SimFileSystem.Code.inputOutput, path: path) }
    }

    private func checkWritable(_ operation: DiskError.Operation) throws(DiskError) {
        guard !isReadOnly else { throw DiskError(operation, code: SimFileSystem.Code.badDescriptor, path: path) }
    }
}
