// SPDX-License-Identifier: Apache-2.0

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// One process started by a test. What it says goes to files, so that nothing stalls when nobody reads.
///
/// It ends with the test: by ``end()``, at the latest when this object goes, and by the ``Guardian`` when the test
/// process itself dies.
final class ChildProcess {
    let name: String
    let pid: pid_t
    /// Where standard output and standard error go.
    let output: URL
    let errors: URL
    /// The write end of the process's standard input, when it has one.
    private var input: Int32?
    private var status: Int32?

    /// - Parameters:
    ///   - words: the program's path and its arguments.
    ///   - environment: added to the test's own.
    ///   - folder: the working directory; the test's own when `nil`.
    ///   - hasInput: whether standard input is a pipe that ``closeInput()`` closes; otherwise it is empty.
    init(
        _ name: String, _ words: [String], output: URL, errors: URL? = nil, environment: [String: String] = [:],
        folder: URL? = nil, hasInput: Bool = false
    ) throws {
        self.name = name
        self.output = output
        self.errors = errors ?? output
        var ends: [Int32] = [-1, -1]
        if hasInput {
            guard pipe(&ends) == 0 else { throw Unfulfilled("no pipe for \(name): \(Self.reason(errno))") }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        }
        defer { if hasInput { close(ends[0]) } }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if hasInput {
            posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO)
        } else {
            posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        }
        let writing = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.path, writing, 0o644)
        if let errors {
            posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors.path, writing, 0o644)
        } else {
            posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        }

        // Worker threads block all signals, and a child would inherit that: SIGTERM would not reach it.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

        // A node reads every GODWIT_… variable as a setting; those of the tests are none.
        let variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("GODWIT_") }
            .merging(environment) { _, new in new }
        // `exec` keeps the shell's pid.
        let command = folder.map { ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", $0.path] + words } ?? words
        var arguments = Self.cStrings(command)
        var environment = Self.cStrings(variables.map { "\($0)=\($1)" })
        defer { for text in arguments + environment { free(text) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, command[0], &actions, &attributes, &arguments, &environment)
        guard code == 0 else {
            if hasInput { close(ends[1]) }
            throw Unfulfilled("\(name) (\(words[0])) could not be started: \(Self.reason(code))")
        }
        self.pid = pid
        input = hasInput ? ends[1] : nil
        Guardian.shared.watch(pid)
    }

    deinit { end() }

    /// Whether the process has not ended yet. A stopped one counts as running.
    var isRunning: Bool {
        guard status == nil else { return false }
        var now: Int32 = 0
        guard waitpid(pid, &now, WNOHANG) == pid else { return true }
        status = now
        Guardian.shared.forget(pid)
        return false
    }

    /// `0` after a good end, the exit code otherwise, minus the signal's number when a signal ended it; `nil` before.
    var exitCode: Int32? {
        guard !isRunning, let status else { return nil }
        return status & 0x7f == 0 ? (status >> 8) & 0xff : -(status & 0x7f)
    }

    func signal(_ number: Int32) {
        if isRunning { kill(pid, number) }
    }

    func closeInput() {
        if let input { close(input) }
        input = nil
    }

    /// Waits for the end and returns the exit code; a process that outlives the patience is ended.
    @discardableResult
    func waitForEnd(upTo patience: Double) throws -> Int32 {
        do {
            try wait(for: "the end of \(name)", upTo: patience, lookingEvery: 5) { !isRunning }
        } catch {
            end()
            throw Unfulfilled("\(error)\n\(tail(30))")
        }
        return exitCode ?? 0
    }

    /// Ends the process at once, if it still runs.
    func end() {
        closeInput()
        guard isRunning else { return }
        kill(pid, SIGKILL)
        var now: Int32 = 0
        while waitpid(pid, &now, 0) < 0, errno == EINTR {}
        status = now
        Guardian.shared.forget(pid)
    }

    var outputText: String { Self.text(of: output) }
    var errorText: String { Self.text(of: errors) }

    /// The last lines of what it said.
    func tail(_ count: Int) -> String {
        func last(_ file: URL) -> String {
            let lines = Self.text(of: file).split(separator: "\n").suffix(count)
            return lines.isEmpty ? "" : "--- \(name) (\(file.lastPathComponent))\n" + lines.joined(separator: "\n")
        }
        return errors == output ? last(output) : last(output) + "\n" + last(errors)
    }

    static func text(of file: URL) -> String {
        guard let data = try? Data(contentsOf: file) else { return "" }
        return String(decoding: data, as: UTF8.self)
    }

    /// Copies for a system call, ended by `nil`; the caller frees them.
    static func cStrings(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
        texts.map { text in strdup(text) } + [nil]
    }

    private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}

/// A shell that outlives the test process by a moment and then kills what that left behind.
///
/// It reads `+ pid` and `- pid` from a pipe whose other end only the test process has.
final class Guardian: Sendable {
    static let shared = Guardian()

    private let pipeEnd: Int32

    private static let script = """
        trap '' INT TERM HUP
        pids=
        while read -r sign pid; do
            rest=
            for each in $pids; do [ "$each" = "$pid" ] || rest="$rest $each"; done
            pids=$rest
            [ "$sign" = - ] || pids="$pids $pid"
        done
        [ -z "$pids" ] || kill -9 $pids
        """

    private init() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { preconditionFailure("a pipe is needed to watch over the nodes") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO)
        for file in [STDOUT_FILENO, STDERR_FILENO] {
            posix_spawn_file_actions_addopen(&actions, file, "/dev/null", O_WRONLY, 0)
        }
        var arguments = ChildProcess.cStrings(["sh", "-c", Self.script])
        var pid: pid_t = 0
        let code = posix_spawn(&pid, "/bin/sh", &actions, nil, &arguments, nil)
        precondition(code == 0, "the shell that watches over the nodes must start")
        for argument in arguments { free(argument) }
        posix_spawn_file_actions_destroy(&actions)
        close(ends[0])
        pipeEnd = ends[1]
    }

    func watch(_ pid: pid_t) { tell("+ \(pid)\n") }
    func forget(_ pid: pid_t) { tell("- \(pid)\n") }

    private func tell(_ line: String) {
        _ = line.withCString { write(pipeEnd, $0, strlen($0)) }
    }
}
