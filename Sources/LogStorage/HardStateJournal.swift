// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
import NIOCore

/// The terms and votes of all Raft groups of one shard, in one append-only file: many elections, one `fdatasync`.
///
/// `HardStateFrame` draws the file. What is recorded is visible at once, and durable after the next sync that began
/// after it. The newest record of a group wins. A file that has grown far beyond what it says is written anew beside
/// itself and takes the old one's place.
public final class HardStateJournal<FS: FileSystem> {
    private let directory: String
    private let fs: FS
    private var file: FS.File
    private var size: Int64
    private var sequence: UInt64
    private var states: [PartitionID: HardState]
    /// Recorded since the last sync began; `nil` says forgotten.
    private var pending: [PartitionID: HardState?] = [:]
    private var underWay: Int?
    private var tickets = 0
    private var hasFailed = false
    /// A file below this many bytes is never written anew.
    private let rewriteBytes: Int64

    static var name: String { "hardstate" }

    private init(directory: String, fs: FS, file: FS.File, content: HardStateFrame.Content, rewriteBytes: Int64) {
        self.directory = directory
        self.fs = fs
        self.file = file
        size = content.size
        sequence = content.sequence
        states = content.states
        self.rewriteBytes = rewriteBytes
    }

    /// Opens the journal in `directory`, or begins one; the directory's parent must exist. Blocks.
    ///
    /// - Throws: `.corrupt` when a record that was durable is damaged. A vote that was forgotten could be given twice,
    ///   so the journal is never begun anew over one.
    public static func open(directory: String, in fs: FS) throws(LogError) -> sending HardStateJournal {
        try open(directory: directory, in: fs, rewriteBytes: 1 << 20)
    }

    static func open(directory: String, in fs: FS, rewriteBytes: Int64) throws(LogError) -> sending HardStateJournal {
        let path = directory + "/" + name
        return try onDisk { () throws(DiskError) in
            if try !fs.exists(directory) { try fs.makeDirectory(directory) }
            return try fs.exists(path)
        }
            ? try reopen(path, directory: directory, fs: fs, rewriteBytes: rewriteBytes)
            : try begin(path, directory: directory, fs: fs, rewriteBytes: rewriteBytes)
    }

    private static func begin(
        _ path: String, directory: String, fs: FS, rewriteBytes: Int64
    ) throws(LogError) -> sending HardStateJournal {
        let bytes = HardStateFrame.encode([], sequence: 1)
        let file = try onDisk { () throws(DiskError) in
            try fs.synchronizeDirectory(FS.parent(of: directory))
            let file = try fs.open(path + ".new", .createOrOpen)
            try file.truncate(to: .zero)
            try bytes.withUnsafeReadableBytes { (bytes) throws(DiskError) in try file.write([bytes, bytes], at: .zero) }
            try file.synchronize()
            try fs.rename(path + ".new", to: path)
            try fs.synchronizeDirectory(directory)
            return try fs.open(path, .existing)
        }
        let content = HardStateFrame.Content(size: 2 * Int64(bytes.readableBytes), sequence: 1)
        return HardStateJournal(directory: directory, fs: fs, file: file, content: content, rewriteBytes: rewriteBytes)
    }

    private static func reopen(
        _ path: String, directory: String, fs: FS, rewriteBytes: Int64
    ) throws(LogError) -> sending HardStateJournal {
        let file = try onDisk { () throws(DiskError) in try fs.open(path, .existing) }
        let (content, _) = try read(file, path)
        // It is written anew: what is readable may be visible only, and after a sync that failed in an earlier life no
        // later one would write it.
        let journal = HardStateJournal(
            directory: directory, fs: fs, file: file, content: content, rewriteBytes: rewriteBytes)
        var ticket = SyncTicket(number: 0, fs: fs)
        try onDisk { () throws(DiskError) in
            try journal.writeAnew(&ticket)
            try ticket.run().get()
        }
        return journal
    }

    private static func read(_ file: FS.File, _ path: String) throws(LogError) -> (HardStateFrame.Content, Int64) {
        let size = try onDisk { () throws(DiskError) in try file.size() }.rawValue
        guard size <= HardStateFrame.sizeLimit else {
            throw .corrupt(.init(file: path, position: .zero, detail: "too large for a journal of hard state"))
        }
        let bytes = try file.readBuffer(Int(size), at: 0, path: path)
        do throws(HardStateFrame.Flaw) {
            return (try HardStateFrame.read(bytes), size)
        } catch {
            // Never "empty": what was forgotten could be promised again to somebody else.
            let advice =
                "; a forgotten vote could be given twice, so the node does not start: restore the file from a backup, "
                + "or delete the node's whole data directory and let its peers rebuild it"
            throw .corrupt(.init(file: path, position: ByteCount(error.position), detail: error.detail + advice))
        }
    }

    /// What a journal holds on which nobody runs; nothing is changed.
    static func content(
        in directory: String, fs: FS
    ) throws(LogError) -> (states: [PartitionID: HardState], fileSize: ByteCount, torn: ByteCount) {
        let path = directory + "/" + name
        let file = try onDisk { () throws(DiskError) in try fs.open(path, .readOnly) }
        let (content, size) = try read(file, path)
        return (content.states, ByteCount(size), ByteCount(size - content.size))
    }

    /// What was recorded last for `group`; term 0 and no vote when nothing was.
    public func state(of group: PartitionID) -> HardState { states[group] ?? HardState() }

    /// The groups it knows, in order.
    public var groups: [PartitionID] { states.keys.sorted() }

    public func record(_ state: HardState, for group: PartitionID) {
        states[group] = state
        pending[group] = .some(state)
        #if MUTANTS
            if Mutant.isActive("T-V1") { pending[group] = .some(HardState(term: state.term)) }
        #endif
    }

    /// Forgets a group that was deleted, durably with the next sync.
    public func forget(_ group: PartitionID) {
        guard states.removeValue(forKey: group) != nil else { return }
        pending[group] = .some(nil)
    }

    /// Whether anything was recorded that no completed sync covers.
    public var isDirty: Bool { !hasFailed && (!pending.isEmpty || underWay != nil) }

    /// Writes out what was recorded and begins to make it durable. `nil` when there is nothing, or a sync is under way.
    ///
    /// - Throws: `.disk` when it cannot be written. When the disk is full nothing is lost and a later call tries again;
    ///   after any other error the journal is of no use until `beginRevival`.
    public func beginSync() throws(LogError) -> SyncTicket<FS>? {
        guard !hasFailed else { throw .failed }
        guard underWay == nil, !pending.isEmpty else { return nil }
        var ticket = SyncTicket(number: tickets + 1, fs: fs)
        let before = (file, size, sequence)
        do throws(DiskError) {
            if size > max(rewriteBytes, 8 * HardStateFrame.size(of: states.count)) {
                try writeAnew(&ticket)
            } else {
                try writePending(&ticket)
            }
        } catch {
            (file, size, sequence) = before
            guard error.isOutOfSpace else {
                hasFailed = true
                throw .disk(error)
            }
            try cutTornFrame()
            throw .disk(error)
        }
        tickets += 1
        pending.removeAll(keepingCapacity: true)
        underWay = tickets
        return ticket
    }

    private func writePending(_ ticket: inout SyncTicket<FS>) throws(DiskError) {
        let records = pending.keys.sorted().map { group in
            HardStateFrame.Record(group: group, state: pending[group] ?? nil)
        }
        try write(records, at: size)
        ticket.files = [file]
    }

    /// A frame that did not fit is cut off again: nobody was promised what it says.
    private func cutTornFrame() throws(LogError) {
        do throws(DiskError) {
            try file.truncate(to: ByteCount(size))
        } catch {
            hasFailed = true
            throw .disk(error)
        }
    }

    /// Whether a write or a sync has failed, so that nothing can be promised any more.
    public var isFailed: Bool { hasFailed }

    /// The way back from a failure, once the disk answers again: everything that is known is written into a new file.
    ///
    /// Memory holds all that was ever promised and perhaps more, so nothing of the old file needs to be believed.
    ///
    /// - Throws: `.disk` when the disk still refuses.
    public func beginRevival() throws(LogError) -> SyncTicket<FS> {
        precondition(hasFailed && underWay == nil, "a journal is revived after it has failed")
        var ticket = SyncTicket(number: tickets + 1, fs: fs)
        do throws(DiskError) {
            // Not into the pages that an earlier attempt may have left behind.
            let leftover = directory + "/" + Self.name + ".new"
            if try fs.exists(leftover) { try fs.remove(leftover) }
            try writeAnew(&ticket)
        } catch {
            throw .disk(error)
        }
        tickets += 1
        // It is in the new file. What is recorded from here on is not.
        pending.removeAll(keepingCapacity: true)
        underWay = tickets
        return ticket
    }

    /// After success everything that was recorded before the revival began is durable, and the journal can be used
    /// again.
    ///
    /// - Throws: `.disk` when it has failed again.
    public func completeRevival(_ ticket: SyncTicket<FS>, _ result: Result<Void, DiskError>) throws(LogError) {
        precondition(hasFailed && underWay == ticket.number, "a revival is completed once, by who began it")
        underWay = nil
        if case .failure(let error) = result { throw .disk(error) }
        hasFailed = false
    }

    /// After success everything recorded before the sync began is durable.
    ///
    /// - Throws: `.disk` when the sync failed; the journal is then of no more use.
    public func completeSync(_ ticket: SyncTicket<FS>, _ result: Result<Void, DiskError>) throws(LogError) {
        guard !hasFailed else { throw .failed }
        precondition(underWay == ticket.number, "a sync is completed once, by the journal that began it")
        underWay = nil
        if case .failure(let error) = result {
            hasFailed = true
            throw .disk(error)
        }
    }

    /// All that is known, in a new file. It takes the old one's place when it is durable: a crash before that leaves
    /// the old one, which lacks only what nobody has been promised yet.
    private func writeAnew(_ ticket: inout SyncTicket<FS>) throws(DiskError) {
        let path = directory + "/" + Self.name
        file = try fs.open(path + ".new", .createOrOpen)
        try file.truncate(to: .zero)
        size = 0
        try write(groups.map { HardStateFrame.Record(group: $0, state: states[$0]) }, at: 0)
        ticket.files = [file]
        ticket.replacement = (path + ".new", path)
        ticket.directory = directory
    }

    private func write(_ records: [HardStateFrame.Record], at position: Int64) throws(DiskError) {
        sequence += 1
        let bytes = HardStateFrame.encode(records, sequence: sequence)
        try bytes.withUnsafeReadableBytes { (bytes) throws(DiskError) in
            try file.write([bytes, bytes], at: ByteCount(position))
        }
        size = position + 2 * Int64(bytes.readableBytes)
    }
}
