// SPDX-License-Identifier: Apache-2.0

public import Disk
import Glibc
public import LogModel
import NIOCore
import Synchronization

/// A node's folder on disk: who the node is, and where everything lies.
///
///     <data>/identity          node id, directory id, cluster id, number of shards, who formed the cluster
///     <data>/lock              held while a node runs on the folder
///     <data>/metadata/         the log of group 0, and its snapshot
///     <data>/topics/<id>-<n>/  one log a partition
///     <data>/votes-<n>/<k>/    the hard-state journal of shard k of n
///
/// The lock goes with the process, however it ends.
public final class DataDirectory: Sendable {
    public enum Failure: Error, CustomStringConvertible {
        case disk(DiskError)
        case inUse(path: String)
        case otherNode(path: String, stored: NodeID, configured: NodeID)
        case damaged(path: String)

        public var description: String {
            switch self {
            case .disk(let error): "the data directory cannot be used: \(error)"
            case .inUse(let path):
                "another node is running on \(path); stop it, or give this one a directory of its own (node.data)"
            case .otherNode(let path, let stored, let configured):
                "\(path) belongs to node \(stored.rawValue), but node.id is \(configured.rawValue)"
            case .damaged(let path):
                "\(path) cannot be read; restore it, or delete the whole data directory and let the peers rebuild it"
            }
        }
    }

    public struct Identity: Hashable, Sendable {
        public var node: NodeID
        /// Drawn when the folder was made: a node that comes back with another one has lost its data.
        public var directory: TopicID
        /// Known once the cluster has formed.
        public var cluster: TopicID?
        public var shards: Int
        /// Who formed the cluster, as this node was told when it had nothing yet; empty on one that has joined. It is
        /// what holds while the metadata log says nothing else, so it must not change with the configuration.
        public var founders: [NodeID]?

        package init(
            node: NodeID, directory: TopicID, cluster: TopicID?, shards: Int, founders: [NodeID]? = nil
        ) {
            self.node = node
            self.directory = directory
            self.cluster = cluster
            self.shards = shards
            self.founders = founders
        }
    }

    public let path: String
    private let stored: Mutex<Identity>
    /// Whether this start has made the folder.
    public let isFresh: Bool
    private let files: RealFileSystem
    private let lock: CInt

    public init(_ path: String, node: NodeID, shards: Int, files: RealFileSystem) throws(Failure) {
        self.path = path
        self.files = files
        let identityPath = path + "/identity"
        do throws(DiskError) {
            if try !files.exists(path) { try files.makeDirectory(path) }
        } catch {
            throw .disk(error)
        }
        lock = try Self.lock(path)
        guard let stored = try Self.read(identityPath, files) else {
            var random = SystemRandomNumberGenerator()
            let identity = Identity(
                node: node, directory: TopicID(high: random.next(), low: random.next()), cluster: nil, shards: shards)
            self.stored = Mutex(identity)
            isFresh = true
            try Self.write(identity, to: path, files)
            return
        }
        guard stored.node == node else { throw .otherNode(path: path, stored: stored.node, configured: node) }
        self.stored = Mutex(stored)
        isFresh = false
    }

    deinit { _ = close(lock) }

    public var identity: Identity { stored.withLock { $0 } }

    public var metadata: String { path + "/metadata" }
    public var topics: String { path + "/topics" }

    static func log(of partition: PartitionID, in topics: String) -> String {
        "\(topics)/\(partition.topic)-\(partition.index)"
    }

    /// The partition whose log lies in a folder of this name.
    static func partition(ofLog name: String) -> PartitionID? {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let topic = TopicID(hex: parts[0]), let index = Int32(parts[1]), index >= 0,
            name == "\(topic)-\(index)"
        else { return nil }
        return PartitionID(topic: topic, index: index)
    }

    /// Where the journals lie when they are spread over `shards` shards.
    func votes(spreadOver shards: Int) -> String { "\(path)/votes-\(shards)" }

    /// Makes the folders that every node has.
    func makeFolders() throws(Failure) {
        do throws(DiskError) {
            try files.makeDirectory(metadata)
            try files.makeDirectory(topics)
            try files.synchronizeDirectory(path)
        } catch {
            throw .disk(error)
        }
    }

    /// Remembers which cluster this node belongs to, and how many shards its journals are spread over.
    public func update(_ change: (inout Identity) -> Void) throws(Failure) {
        var changed = identity
        change(&changed)
        guard changed != identity else { return }
        try Self.write(changed, to: path, files)
        stored.withLock { $0 = changed }
    }

    private static func lock(_ path: String) throws(Failure) -> CInt {
        let name = path + "/lock"
        let descriptor = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .disk(DiskError(.open, code: errno, path: name)) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            _ = close(descriptor)
            throw .inUse(path: path)
        }
        return descriptor
    }

    // MARK: - The identity file: a few lines of text, so that a person can read it.

    private static func read(_ path: String, _ files: RealFileSystem) throws(Failure) -> Identity? {
        let text: String
        do throws(DiskError) {
            guard try files.exists(path) else { return nil }
            let file = try files.open(path, .readOnly)
            var bytes = ByteBufferAllocator().buffer(capacity: 4096)
            _ = try bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: 4096) { (buffer) throws(DiskError) -> Int in
                try file.read(into: buffer, at: .zero)
            }
            text = String(buffer: bytes)
        } catch {
            throw .disk(error)
        }
        var fields: [Substring: Substring] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 1)
            if parts.count == 2 { fields[parts[0]] = parts[1] }
        }
        guard fields["end"] == "ok", let node = fields["node"].flatMap({ Int32($0) }), node >= 0,
            let directory = fields["directory"].flatMap({ TopicID(hex: $0) }),
            let shards = fields["shards"].flatMap({ Int($0) }), shards > 0
        else { throw .damaged(path: path) }
        return Identity(
            node: NodeID(node), directory: directory, cluster: fields["cluster"].flatMap { TopicID(hex: $0) },
            shards: shards,
            founders: try fields["founders"].map { (text) throws(Failure) in try Self.nodes(text, path) })
    }

    /// A joined node's list is a dash.
    private static func nodes(_ text: Substring, _ path: String) throws(Failure) -> [NodeID] {
        guard text != "-" else { return [] }
        let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Int32($0) }
        guard numbers.allSatisfy({ $0.map { $0 >= 0 } ?? false }) else { throw .damaged(path: path) }
        return numbers.compactMap { $0.map { NodeID($0) } }
    }

    private static func write(_ identity: Identity, to path: String, _ files: RealFileSystem) throws(Failure) {
        var text = "node \(identity.node.rawValue)\ndirectory \(identity.directory)\nshards \(identity.shards)\n"
        if let cluster = identity.cluster { text += "cluster \(cluster)\n" }
        if let founders = identity.founders {
            let list = founders.map { "\($0.rawValue)" }.joined(separator: ",")
            text += "founders \(list.isEmpty ? "-" : list)\n"
        }
        text += "end ok\n"
        let temporary = path + "/identity.new"
        do throws(DiskError) {
            let file = try files.open(temporary, .createOrOpen)
            try file.truncate(to: .zero)
            let bytes = ByteBuffer(string: text)
            try bytes.withUnsafeReadableBytes { (buffer) throws(DiskError) in try file.write([buffer], at: .zero) }
            try file.synchronize()
            try files.rename(temporary, to: path + "/identity")
            try files.synchronizeDirectory(path)
        } catch {
            throw .disk(error)
        }
    }
}
