# SPDX-License-Identifier: Apache-2.0
"""A cluster of real nodes on one machine: each in a network namespace of its own, with an ext4 of its own.

Everything here happens inside the mount, network and process namespaces that scripts/chaos.sh has made, so that it is
gone when the run is, however it ends. Nodes are 1, 2, 3, …; clients live in the namespace of this program.

    10.87.0.1      clients        10.87.1.N  node N for clients        10.87.2.N  node N for the other nodes
"""
import fcntl
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import time

CLIENTS = "10.87.0.1"
EXT4_SHUTDOWN = 0x8004587D
WITHOUT_JOURNAL = struct.pack("I", 2)  # EXT4_GOING_FLAGS_NOLOGFLUSH: what is not on the disk yet never will be


class ChaosError(Exception):
    """Something the run itself needs did not work: nothing is said about the nodes."""


def run(*words, text=None):
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChaosError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


class Control:
    """The commands to one node's disk_shim.so."""

    FIELDS = {"failures": 0, "delay": 1, "lies": 2, "calls": 3, "failed": 4, "lied": 5}

    def __init__(self, path):
        with open(path, "wb") as file:
            file.write(bytes(32))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 32)

    def __getitem__(self, name):
        return struct.unpack_from("i", self.memory, 4 * self.FIELDS[name])[0]

    def __setitem__(self, name, value):
        struct.pack_into("i", self.memory, 4 * self.FIELDS[name], value)


class Node:
    def __init__(self, cluster, number):
        self.cluster, self.number = cluster, number
        self.space = f"{cluster.prefix}-n{number}"
        self.kafka, self.peer = f"10.87.1.{number}", f"10.87.2.{number}"
        folder = cluster.folder
        self.image, self.mount = f"{folder}/n{number}.ext4", f"{folder}/n{number}"
        self.data, self.config = f"{self.mount}/data", f"{folder}/n{number}.yaml"
        self.log, self.clock = f"{folder}/n{number}.log", f"{folder}/n{number}.clock"
        self.control = Control(f"{folder}/n{number}.control")
        self.process = None
        self.is_paused = False
        self.is_mounted = False
        self.starts = 0
        self.rules = {}  # by who asked for them: lists of (chain, rule)
        self.ended = []  # return codes of processes that nobody had stopped

    def __repr__(self):
        return f"n{self.number}"

    # The network.

    def connect(self):
        link = f"v{self.number}"
        run("ip", "netns", "add", self.space)
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", self.space)
        run("ip", "link", "set", link, "master", "br0", "up")
        # The first address is the one that connections to other nodes come from.
        for address in (self.peer, self.kafka):
            self.inside("ip", "address", "add", f"{address}/16", "dev", "eth0")
        self.inside("ip", "link", "set", "eth0", "up")
        self.inside("ip", "link", "set", "lo", "up")
        self.filter()

    def inside(self, *words, text=None):
        return run("nsenter", f"--net=/run/netns/{self.space}", *words, text=text)

    def link(self, is_up):
        run("ip", "link", "set", f"v{self.number}", "up" if is_up else "down")

    def filter(self):
        lines = ["table inet chaos {", "chain in { type filter hook input priority 0; }",
                 "chain out { type filter hook output priority 0; }", "}", "flush table inet chaos"]
        for rules in self.rules.values():
            lines += [f"add rule inet chaos {chain} {rule}" for chain, rule in rules]
        self.inside("nft", "-f", "-", text="\n".join(lines) + "\n")

    def obstruct(self, who, rules):
        """Adds rules of the packet filter; `release` takes them away."""
        self.rules.setdefault(who, []).extend(rules)
        self.filter()

    def release(self, who):
        if self.rules.pop(who, None):
            self.filter()

    # The disk.

    def format(self, megabytes):
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", self.image)
        os.makedirs(self.mount)
        self.attach()

    def attach(self):
        run("mount", "-o", "loop", self.image, self.mount)
        self.is_mounted = True

    def detach(self):
        deadline = time.monotonic() + 20
        while True:
            try:
                run("umount", self.mount)
                break
            except ChaosError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.is_mounted = False

    def cut_power(self):
        """The disk forgets what was not synced; the process must not run, and must be ended after it."""
        handle = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, EXT4_SHUTDOWN, WITHOUT_JOURNAL)
        finally:
            os.close(handle)

    # The process.

    def start(self):
        words = ["nsenter", f"--net=/run/netns/{self.space}", self.cluster.program, "node", "--config", self.config]
        # A node reads every GODWIT_… variable as a setting; those of whoever calls this are none.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GODWIT_")}
        environment |= {"LD_PRELOAD": ":".join(self.cluster.preloads), "CHAOS_CONTROL": self.control_path}
        if self.cluster.has_clocks:
            environment |= {"FAKETIME_TIMESTAMP_FILE": self.clock, "FAKETIME_NO_CACHE": "1",
                            "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"}
            if not os.path.exists(self.clock):
                self.set_clock("+0")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.starts += 1

    def takes_clients(self):
        try:
            with socket.create_connection((self.kafka, 9092), timeout=2):
                return True
        except OSError:
            return False

    @property
    def control_path(self):
        return f"{self.cluster.folder}/n{self.number}.control"

    def set_clock(self, offset):
        with open(self.clock + ".new", "w", encoding="ascii") as file:
            file.write(offset + "\n")
        os.replace(self.clock + ".new", self.clock)

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
        self.is_paused = number == signal.SIGSTOP

    def kill(self):
        """kill -9. Returns when the process is gone."""
        if self.process is None:
            return
        self.note_end()
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process, self.is_paused = None, False

    def stop(self, patience=60):
        """The orderly way. False when it took too long and ended with kill -9."""
        if self.process is None:
            return True
        self.note_end()
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        self.process = None
        return True

    def note_end(self):
        """Notes when the process has ended by itself, which it never should."""
        if self.process is not None and self.process.poll() is not None:
            self.ended.append(self.process.returncode)
            self.process = None
            return True
        return False


class Cluster:
    def __init__(self, folder, prefix, count, program, preloads, has_clocks, shards, settings, megabytes):
        self.folder, self.prefix, self.program = folder, prefix, program
        self.preloads, self.has_clocks = preloads, has_clocks
        self.nodes = [Node(self, number) for number in range(1, count + 1)]
        self.bootstrap = ",".join(f"{node.kafka}:9092" for node in self.nodes)
        for node in self.nodes:
            with open(node.config, "w", encoding="utf-8") as file:
                file.write(f"node.id: {node.number}\nnode.data: {node.data}\nnode.shards: {shards}\n"
                           f"kafka.listen: {node.kafka}:9092\npeer.listen: {node.peer}:19092\ncluster.voters:\n")
                file.writelines(f"  - {each.number}@{each.peer}:19092\n" for each in self.nodes)
                # A coordinator for every few groups is enough, and so many elections fewer after each fault.
                file.writelines(f"{line}\n" for line in ["offsets.topic.num.partitions: 6", *settings])
        run("ip", "link", "set", "lo", "up")
        run("mount", "-t", "tmpfs", "netns", self.run_folder())
        run("ip", "link", "add", "br0", "type", "bridge")
        run("ip", "address", "add", f"{CLIENTS}/16", "dev", "br0")
        run("ip", "link", "set", "br0", "up")
        for node in self.nodes:
            node.connect()
            node.format(megabytes)

    @staticmethod
    def run_folder():
        os.makedirs("/run/netns", exist_ok=True)
        return "/run/netns"

    def start(self):
        for node in self.nodes:
            node.start()

    def command(self, *words, patience=15):
        """The program's own command line; what it printed, or None when it failed."""
        try:
            done = subprocess.run([self.program, *words, "--bootstrap", self.bootstrap], capture_output=True, text=True,
                                  timeout=patience, check=False)
        except subprocess.TimeoutExpired:
            return None
        return done.stdout if done.returncode == 0 else None

    def is_whole(self):
        text = self.command("cluster", "status", "--json", "--timeout", "5s")
        if text is None:
            return False
        status = json.loads(text)
        alive = sum(1 for node in status["nodes"] if node["alive"])
        if status["leaderless"] or status["underReplicated"] or alive < len(self.nodes):
            return False
        # A program without moves has none under way.
        if json.loads(self.command("cluster", "moves", "--json") or "[]"):
            return False
        return all(node.takes_clients() for node in self.nodes)

    def wait_whole(self, patience):
        """Whether every partition has its leader and all its replicas in time, and the seconds it took."""
        began = time.monotonic()
        while time.monotonic() - began < patience:
            if self.is_whole():
                return time.monotonic() - began
            time.sleep(0.2)
        return None

    def power_loss(self, nodes):
        """All of them at once, as far as one machine can: all stop, then their disks forget, then they end."""
        running = [node for node in nodes if node.is_mounted]
        for node in running:
            node.signal(signal.SIGSTOP)
        for node in running:
            node.cut_power()
        for node in running:
            node.kill()
        for node in running:
            node.detach()

    def power_on(self, nodes):
        for node in nodes:
            if not node.is_mounted:
                node.attach()
            if not node.is_running:
                node.start()

    def end(self):
        for node in self.nodes:
            node.kill()
        for node in self.nodes:
            if node.is_mounted:
                node.detach()
