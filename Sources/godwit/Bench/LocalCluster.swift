// SPDX-License-Identifier: Apache-2.0
#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The nodes of a cluster on this machine, by their process ids.
///
/// `make up` leaves `nodeN.pid` and `nodeN.log` of each node in `cluster-data/`. A cluster elsewhere has none of them:
/// then there is nothing to measure or kill, and `nodes` is empty.
struct LocalCluster {
    struct Flaw: Error, CustomStringConvertible {
        let description: String
    }

    struct Node: Equatable {
        /// `nil` for a bare pid given by hand.
        let id: Int32?
        var pid: Int32
    }

    /// In order of node ids.
    private(set) var nodes: [Node] = []
    private let folder: String

    /// - Parameter named: `1=4711,2=4712` or `4711,4712`; when absent, `folder/node*.pid` are read.
    init(folder: String, named: String?) throws(Flaw) {
        self.folder = folder
        nodes = if let named { try Self.parse(named) } else { Self.pidFiles(in: folder) }
    }

    static func parse(_ text: String) throws(Flaw) -> [Node] {
        var nodes: [Node] = []
        for part in text.split(separator: ",") {
            let sides = part.split(separator: "=", maxSplits: 1)
            guard let last = sides.last, let pid = Int32(last), pid > 1 else {
                throw Flaw(description: "--pids wants pid,… or node=pid,…, not '\(part)'")
            }
            let id = sides.count == 2 ? Int32(sides[0]) : nil
            guard sides.count == 1 || id != nil else { throw Flaw(description: "--pids: '\(sides[0])' is no node id") }
            nodes.append(Node(id: id, pid: pid))
        }
        return nodes
    }

    func pid(of node: Int32) -> Int32? { nodes.first { $0.id == node }?.pid }

    /// Starts a killed node again, apart from this process and its terminal, and notes its new pid.
    ///
    /// - Parameter command: what to run; `{id}` stands for the node's id.
    mutating func restart(_ node: Int32, command: String) throws(Flaw) {
        let file = "\(folder)/node\(node)"
        let pid = try Self.spawn(Self.replacing("{id}", by: "\(node)", in: command), log: "\(file).log")
        for place in nodes.indices where nodes[place].id == node { nodes[place].pid = pid }
        Self.writeText("\(pid)\n", to: "\(file).pid")
    }

    private static func spawn(_ line: String, log: String) throws(Flaw) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, ownSession)
        // `env` takes both a plain command and one that sets variables first; `exec` keeps the shell's pid.
        let words = ["sh", "-c", "exec env \(line)"]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, "/bin/sh", &actions, &attributes, &arguments, environ)
        guard code == 0 else {
            throw Flaw(description: "cannot start '\(line)': \(String(cString: strerror(code)))")
        }
        return pid
    }

    #if canImport(Glibc)
        /// `POSIX_SPAWN_SETSID`, which glibc shows to C with `_GNU_SOURCE` alone.
        private static let ownSession: Int16 = 0x80
    #else
        private static let ownSession = Int16(POSIX_SPAWN_SETSID)
    #endif

    /// Ends a node as a crash would: at once, with nothing flushed.
    func kill(_ node: Int32) throws(Flaw) {
        guard let pid = pid(of: node) else {
            throw Flaw(description: "node \(node) has no pid in \(folder); give it with --pids \(node)=PID")
        }
        #if canImport(Glibc)
            let code = Glibc.kill(pid, SIGKILL)
        #else
            let code = Darwin.kill(pid, SIGKILL)
        #endif
        guard code == 0 else {
            throw Flaw(description: "cannot kill node \(node), process \(pid): \(String(cString: strerror(errno)))")
        }
    }

    /// Whether the node's process is gone, so that its ports and its lock are free.
    func isGone(_ node: Int32) -> Bool {
        guard let pid = pid(of: node) else { return true }
        // A node that this process restarted is its child and stays as a zombie until it is waited for.
        var status: Int32 = 0
        if waitpid(pid, &status, WNOHANG) == pid { return true }
        return ProcessUsage.cpuSeconds(of: pid) == nil
    }

    private static func pidFiles(in folder: String) -> [Node] {
        guard let listing = opendir(folder) else { return [] }
        defer { closedir(listing) }
        var found: [Node] = []
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name.hasPrefix("node"), name.hasSuffix(".pid") else { continue }
            guard let id = Int32(name.dropFirst(4).dropLast(4)),
                let line = readText("\(folder)/\(name)")?.split(whereSeparator: \.isNewline).first,
                let pid = Int32(line), pid > 1, ProcessUsage.cpuSeconds(of: pid) != nil
            else { continue }
            found.append(Node(id: id, pid: pid))
        }
        return found.sorted { ($0.id ?? 0) < ($1.id ?? 0) }
    }

    static func replacing(_ mark: String, by value: String, in text: String) -> String {
        var result = ""
        var rest = Substring(text)
        while let place = rest.firstRange(of: mark) {
            result += rest[..<place.lowerBound] + value
            rest = rest[place.upperBound...]
        }
        return result + rest
    }

    private static func writeText(_ text: String, to path: String) {
        guard let file = fopen(path, "w") else { return }
        defer { fclose(file) }
        fputs(text, file)
    }
}

/// What a process has used, as the kernel tells it.
enum ProcessUsage {
    /// Resident memory in bytes.
    static func residentBytes(of pid: Int32) -> Int? {
        guard let text = readText("/proc/\(pid)/statm") else { return nil }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? Int(fields[1]).map { $0 * Int(sysconf(Int32(_SC_PAGESIZE))) } : nil
    }

    /// CPU seconds, user and system, since the process started; `nil` when it is gone.
    static func cpuSeconds(of pid: Int32) -> Double? {
        readText("/proc/\(pid)/stat").flatMap(cpuTicks).map { $0 / Double(sysconf(Int32(_SC_CLK_TCK))) }
    }

    /// Fields 14 and 15 of `/proc/PID/stat` (proc(5)); the second field, the command, may itself hold blanks.
    /// A zombie counts as gone.
    static func cpuTicks(_ stat: String) -> Double? {
        guard let close = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: close)...].split(separator: " ")
        guard fields.count > 12, fields[0] != "Z", let user = Double(fields[11]), let system = Double(fields[12]) else {
            return nil
        }
        return user + system
    }

    /// CPU seconds of this process: the load generator's own share.
    static func ownCPUSeconds() -> Double {
        var usage = rusage()
        #if canImport(Glibc)
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        #else
            getrusage(RUSAGE_SELF, &usage)
        #endif
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }
}

private func readText(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 16_384)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(validating: bytes.prefix(count), as: UTF8.self)
}
