// SPDX-License-Identifier: Apache-2.0

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file system of its own for one node: an ext4 in a file, mounted where only the node's process sees it, so that the
/// mount goes when the process does.
///
/// The node must not be started a second time: the first mount may not be gone yet.
final class OwnDisk {
    private let node: TestNode

    static let sentence = "no file system of its own can be made for a node: it takes root, mkfs.ext4 and loop devices"

    /// Whether this machine allows all that is needed.
    static let isAllowed: Bool = {
        guard getuid() == 0, let place = try? Workplace() else { return false }
        let image = place.file("image").path
        let words = "truncate -s 16M $0 && mkfs.ext4 -q -F $0 && mkdir $0.d && mount -o loop $0 $0.d"
        let child = try? place.start(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", words, image])
        return (try? child?.waitForEnd(upTo: 20)) == 0
    }()

    private static let script = """
        mount -o loop "$0" "$1" && rmdir "$1/lost+found" && shift && exec "$@"
        """

    /// - Parameter mebibytes: how large it is.
    init(_ place: Workplace, for node: TestNode, mebibytes: Int) throws {
        self.node = node
        let image = place.freshFile("disk").path
        try place.run("truncate", "-s", "\(mebibytes)M", image)
        try place.run("mkfs.ext4", "-q", "-F", "-m", "0", image)
        try FileManager.default.createDirectory(at: node.data, withIntermediateDirectories: true)
        node.starter = [
            "/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", Self.script, image,
            node.data.path,
        ]
    }

    private var foreign: String { node.visibleData.appending(path: "foreign").path }

    /// Somebody else takes all room that is left.
    func fill() throws {
        let file = open(foreign, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        guard file >= 0 else { throw Unfulfilled("\(foreign) could not be made: \(String(cString: strerror(errno)))") }
        defer { close(file) }
        for size in [1 << 20, 4_096] {
            let zeros = [UInt8](repeating: 0, count: size)
            while write(file, zeros, size) == size {}
        }
        guard errno == ENOSPC, fsync(file) == 0 else {
            throw Unfulfilled("\(foreign) took no room: \(String(cString: strerror(errno)))")
        }
    }

    /// And gives it back.
    func empty() throws { try FileManager.default.removeItem(atPath: foreign) }
}

/// What stands between a node and the system's syncs: Tests/Chaos/disk_shim.c.
final class SyncFailures {
    private let control: URL

    static let sentence = "syncs cannot be made to fail: there is no C compiler"

    private static let compiler: String? = ["cc", "clang", "gcc"].first { name in
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return path.split(separator: ":").contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(name)") }
    }

    static var isAllowed: Bool { compiler != nil }

    init(_ place: Workplace, for node: TestNode) throws {
        let source = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Chaos/disk_shim.c").path
        let shim = place.file("disk_shim.so").path
        if !FileManager.default.fileExists(atPath: shim) {
            try place.run(Self.compiler ?? "cc", "-shared", "-fPIC", "-O2", "-o", shim, source, "-ldl")
        }
        control = place.freshFile("control")
        try Data(count: 32).write(to: control)
        node.environment = ["LD_PRELOAD": shim, "CHAOS_CONTROL": control.path]
    }

    /// How many of the next syncs fail.
    func fail(next count: Int32) throws {
        let file = try FileHandle(forWritingTo: control)
        try file.write(contentsOf: withUnsafeBytes(of: count) { Data($0) })
        try file.close()
    }

    /// How many have failed.
    var failed: Int32 {
        guard let bytes = try? Data(contentsOf: control), bytes.count == 32 else { return 0 }
        return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 16, as: Int32.self) }
    }
}
