# SPDX-License-Identifier: Apache-2.0
"""Real nodes under load while everything goes wrong that this machine can make go wrong; scripts/chaos.sh starts it.

Ends with 0 when no acknowledged record was lost, nothing stale was shown, all replicas are the same and the cluster
came back each time; with 1 when not; with 2 when the run itself failed.
"""
import argparse
import base64
import json
import os
import random
import signal
import subprocess
import sys
import time

from confluent_kafka.admin import AdminClient, NewTopic

import controls
import faults
import replicas
import report
from cluster import ChaosError, Cluster
from machine import MachineDisk

HERE = os.path.dirname(os.path.abspath(__file__))
TOPIC = "chaos"


def say(sentence):
    print(sentence, flush=True)


class Load:
    """The clients: processes that run until the pipe to them is closed."""

    def __init__(self, run):
        self.run, self.processes, self.words = run, {}, {}
        self.next_client = 1
        self.lives = {}
        self.broken = []

    def spawn(self, name, role, *words):
        """`name` stays; the client's own name and number are new each time."""
        self.words[name] = (role, words)
        self.lives[name] = self.lives.get(name, 0) + 1
        client, self.next_client = self.next_client, self.next_client + 1
        mine = f"{name}.{self.lives[name]}"
        common = ["--bootstrap", self.run.cluster.bootstrap, "--topic", TOPIC, "--partitions",
                  str(self.run.args.partitions), "--name", mine, "--client", str(client),
                  "--history", f"{self.run.folder}/{mine}.jsonl"]
        program = {"native": [self.run.args.native], "ask": [sys.executable, f"{HERE}/ask.py"]}.get(
            role, [sys.executable, f"{HERE}/load.py", role])
        with open(f"{self.run.folder}/{mine}.out", "ab") as out:
            self.processes[name] = subprocess.Popen([*program, *common, *words], stdin=subprocess.PIPE, stdout=out,
                                                    stderr=out)

    def start(self):
        args = self.run.args
        rate = str(args.rate / max(1, args.producers + args.plain_producers + args.native_producers))
        for index in range(args.producers):
            self.spawn(f"idempotent{index}", "produce", "--idempotent", "--rate", rate, "--acks", args.acks)
        for index in range(args.plain_producers):
            self.spawn(f"plain{index}", "produce", "--rate", rate, "--acks", args.acks)
        for index in range(args.native_producers):
            self.spawn(f"native{index}", "native", "--rate", rate)
        for index in range(args.readers):
            self.spawn(f"reader{index}", "consume")
        for index in range(args.members):
            self.spawn(f"member{index}", "group")
        for index in range(args.lookers):
            self.spawn(f"looker{index}", "look", "--rate", "10")
        for index in range(args.askers):
            self.spawn(f"asker{index}", "ask")

    def check(self):
        for name, process in self.processes.items():
            if process.poll() is not None:
                self.broken.append(f"the client {name}.{self.lives[name]} ended by itself with {process.returncode}")
        for name in [name for name, process in self.processes.items() if process.poll() is not None]:
            self.spawn(name, self.words[name][0], *self.words[name][1])

    def kill_some(self, chance):
        names = chance.sample(sorted(self.processes), min(len(self.processes), chance.randint(1, 3)))
        for name in names:
            self.processes[name].kill()
            self.processes.pop(name).wait()
        return names

    def revive(self, names):
        for name in names:
            self.spawn(name, self.words[name][0], *self.words[name][1])

    def finish(self, roles, patience):
        ending = {name: process for name, process in self.processes.items() if self.words[name][0] in roles}
        for process in ending.values():
            process.stdin.close()
        deadline = time.monotonic() + patience
        for name, process in ending.items():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
                if process.returncode:
                    self.broken.append(f"the client {name} ended with {process.returncode}")
            except subprocess.TimeoutExpired:
                self.broken.append(f"the client {name} did not end within {patience} s")
                process.kill()
                process.wait()
            del self.processes[name]

    def end(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


class View:
    """What faults see of the run."""

    def __init__(self, run):
        self.run, self.load = run, run.load
        self.topic, self.partitions, self.replicas = TOPIC, run.args.partitions, run.args.replicas
        self.admin = AdminClient({"bootstrap.servers": run.cluster.bootstrap, "socket.timeout.ms": 3000, "log_level": 0,
                                  "topic.metadata.refresh.interval.ms": 1000})

    def some_leader(self):
        """The leader of a partition drawn by lot, as the cluster says it."""
        try:
            topic = self.admin.list_topics(TOPIC, timeout=3).topics[TOPIC]
        except Exception:  # nobody answers: librdkafka's own exception
            return None
        numbers = [topic.partitions[partition].leader for partition in sorted(topic.partitions)]
        number = self.run.chance.choice(numbers or [-1])
        return next((node for node in self.run.cluster.nodes if node.number == number), None)


class Run:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.chance = random.Random(args.seed)
        self.windows, self.complaints, self.notes = [], [], []
        preloads = [self.shim("disk_shim")]
        has_clocks = "clock-jump" in args.kinds
        if has_clocks:
            preloads += [self.shim("timer_shim"), args.faketime]
        self.cluster = Cluster(folder, args.prefix, args.nodes, args.program, preloads, has_clocks, args.shards,
                               args.settings, args.disk_megabytes)
        self.load = Load(self)
        self.view = View(self)
        self.disk = MachineDisk(folder)

    def shim(self, name):
        """What stands between the nodes and the system, built."""
        built = f"{self.folder}/{name}.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", built, f"{HERE}/{name}.c", "-ldl"], check=True)
        return built

    # The run.

    def start(self):
        self.cluster.start()
        if self.cluster.wait_whole(60) is None:
            raise ChaosError("the cluster is not up after 60 s")
        configs = {"min.insync.replicas": str(self.args.replicas // 2 + 1), "segment.bytes": str(1 << 20),
                   "retention.ms": "-1", "message.timestamp.after.max.ms": str((1 << 63) - 1)}
        topic = NewTopic(TOPIC, self.args.partitions, self.args.replicas, config=configs)
        self.view.admin.create_topics([topic], operation_timeout=10)[TOPIC].result(20)
        self.wait_for_topic()
        described = json.loads(self.cluster.command("topic", "describe", TOPIC, "--json") or "{}")
        # As the folders of its partitions have it.
        self.topic_id = base64.urlsafe_b64decode(described["id"] + "==").hex()
        self.load.start()
        self.disk.start()
        time.sleep(self.args.warm_up)

    def wait_for_topic(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = self.view.admin.list_topics(TOPIC, timeout=5).topics[TOPIC].partitions
            if len(found) == self.args.partitions and all(each.leader >= 0 for each in found.values()):
                return
            time.sleep(0.2)
        raise ChaosError("the topic has no leaders after 30 s")

    def window(self, kinds):
        """Some faults at once, and then the time until the cluster is whole again."""
        chosen, free = [], list(self.cluster.nodes)
        for kind in kinds:
            fault = faults.KINDS[kind](self.cluster, self.chance, self.view)
            fault.targets = fault.choose(free)
            if not fault.targets:
                continue
            if fault.occupies:
                free = [node for node in free if node not in fault.targets]
            chosen.append(fault)
        if not chosen:
            return
        window = {"kinds": [fault.kind for fault in chosen], "began": time.monotonic_ns(), "restarted": False}
        self.windows.append(window)
        low, high = (max(fault.seconds[end] for fault in chosen) for end in (0, 1))
        seconds = min(self.chance.uniform(low, high), self.args.hold)
        window["words"] = [fault.inject() for fault in chosen]
        say(f"{self.elapsed():5.0f} s  {'; '.join(window['words'])}")
        time.sleep(seconds)
        # A move is taken back by a cluster that answers.
        for fault in sorted(chosen, key=lambda each: each.kind == "move"):
            fault.heal()
        window["healed"] = time.monotonic_ns()
        if self.cluster.wait_whole(self.args.patience) is None:
            self.restart_what_is_not_whole(window)
        window["whole"] = time.monotonic_ns()
        self.look_after()
        time.sleep(self.args.rest)

    def restart_what_is_not_whole(self, window):
        window["restarted"] = True
        words = "; ".join(window["words"])
        self.notes.append(f"{words}: not whole {self.args.patience} s after it, all nodes restarted")
        say(f"{self.elapsed():5.0f} s  not whole after {self.args.patience} s; the nodes are restarted")
        for node in self.cluster.nodes:
            node.kill()
            node.start()
        if self.cluster.wait_whole(60) is None:
            self.complaints.append(f"after {words} the cluster did not come back, not even restarted")
            raise StopIteration

    def look_after(self):
        self.load.check()
        for node in self.cluster.nodes:
            if node.note_end():
                self.complaints.append(f"{node} ended by itself with {node.ended[-1]}: see {node.log}")
                node.start()

    def elapsed(self):
        return time.monotonic() - self.began

    def faults(self):
        self.began = time.monotonic()
        order = []
        alone = self.args.duration * (1 if self.args.singly else 0.7)
        while self.elapsed() < self.args.duration:
            if self.elapsed() < alone or len(self.args.kinds) < 2:
                if not order:
                    order = list(self.args.kinds)
                    self.chance.shuffle(order)
                self.window([order.pop()])
            else:
                count = min(len(self.args.kinds), self.chance.choice([2, 2, 3]))
                self.window(self.chance.sample(self.args.kinds, count))
            if self.args.windows and len(self.windows) >= self.args.windows:
                break

    def finish(self):
        """Heals, reads everything back, stops the nodes and judges."""
        for node in self.cluster.nodes:
            node.rules.clear()
            node.filter()
        self.cluster.power_on(self.cluster.nodes)
        if self.cluster.wait_whole(120) is None:
            self.complaints.append("the cluster is not whole 120 s after everything was healed")
        say("the producers end")
        self.load.finish({"produce", "native"}, self.args.delivery + 40)
        self.load.finish({"look", "ask"}, 20)
        self.drain()
        self.load.finish({"consume", "group"}, 40)
        self.load.spawn("scan", "scan", "--patience", "120000")
        self.load.finish({"scan"}, 150)
        for node in self.cluster.nodes:
            if not node.stop():
                self.notes.append(f"{node} took more than a minute to stop")
        self.disk.end()
        say("the nodes are stopped; their segments are compared")
        differing, self.equal_bytes = replicas.compare(self.cluster.nodes)
        self.complaints += [f"replicas differ: {each}" for each in differing]
        wrong, resent = replicas.producers(self.cluster.nodes, self.topic_id)
        self.complaints += [f"idempotence: {each}" for each in wrong]
        if resent:
            self.notes.append(f"{len(resent)} records that librdkafka sent again in a new epoch")
            with open(f"{self.folder}/resent.jsonl", "w", encoding="utf-8") as file:
                json.dump({"at": time.monotonic_ns(), "client": "segments", "op": 1, "phase": "ok", "action": "resent",
                           "values": resent}, file)
                file.write("\n")
        self.look_after_end()

    def look_after_end(self):
        for node in self.cluster.nodes:
            self.complaints += [f"{node} ended by itself with {code}" for code in node.ended
                                if f"{node} ended by itself with {code}" not in " ".join(self.complaints)]

    def drain(self):
        """The group must come to the end of every partition."""
        if not self.args.members:
            return
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            text = self.cluster.command("group", "lag", "chaos", "--json") or ""
            try:
                rows = json.loads(text)
                if rows and report.lag_of(rows) == 0:
                    return
            except (ValueError, KeyError, TypeError):
                pass
            time.sleep(1)
        self.notes.append("the group was not at the end of every partition after 90 s")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--checker", required=True)
    parser.add_argument("--native", default="")
    parser.add_argument("--prefix", default="godwit-chaos")
    parser.add_argument("--faketime", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=3, choices=[3, 5])
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--duration", type=float, default=300)
    parser.add_argument("--faults", default="all")
    parser.add_argument("--control", choices=sorted(controls.CONTROLS), help="a cluster broken on purpose")
    parser.add_argument("--windows", type=int, default=0, help="at most so many")
    parser.add_argument("--singly", action="store_true", help="never two faults at once")
    parser.add_argument("--hold", type=float, default=30, help="no fault lasts longer, in seconds")
    parser.add_argument("--rest", type=float, default=2)
    parser.add_argument("--warm-up", type=float, default=5)
    parser.add_argument("--patience", type=float, default=60, help="for the cluster to be whole again, in seconds")
    parser.add_argument("--delivery", type=float, default=60)
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--rate", type=float, default=240, help="records a second of all producers together")
    parser.add_argument("--producers", type=int, default=2)
    parser.add_argument("--plain-producers", type=int, default=1)
    parser.add_argument("--native-producers", type=int, default=1)
    parser.add_argument("--readers", type=int, default=1)
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--lookers", type=int, default=2)
    parser.add_argument("--askers", type=int, default=1)
    parser.add_argument("--acks", default="all")
    parser.add_argument("--settings", action="append", default=[], help="a line for the nodes' configuration")
    parser.add_argument("--disk-megabytes", type=int, default=1024)
    args = parser.parse_args()
    if not args.native:
        args.native_producers = 0
    if args.control:
        controls.prepare(args)
    args.kinds = chosen_kinds(parser, args)
    return args


def has_command(program, words):
    return not words or subprocess.run([program, *words, "--help"], capture_output=True, check=False).returncode == 0


def chosen_kinds(parser, args):
    if args.faults == "none":
        return []
    possible = {kind for kind, each in faults.KINDS.items() if has_command(args.program, each.needs)}
    if not args.faketime:
        possible.discard("clock-jump")
    if args.faults == "all":
        return sorted(possible)
    wanted = args.faults.split(",")
    for kind in wanted:
        if kind not in faults.KINDS:
            parser.error(f"no fault {kind}; there are: {' '.join(sorted(faults.KINDS))}")
    return wanted


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    folder = args.folder
    run = Run(args, folder)
    status = 2
    try:
        what = f"control {args.control}" if args.control else f"faults: {' '.join(args.kinds) or 'none'}"
        say(f"{args.nodes} nodes, seed {args.seed}; {what}")
        run.start()
        try:
            controls.CONTROLS[args.control](run) if args.control else run.faults()
        except StopIteration:
            pass
        run.finish()
        status = controls.conclude(run) if args.control else report.conclude(run)
    except ChaosError as error:
        say(f"the run failed: {error}")
    finally:
        run.load.end()
        run.cluster.end()
    return status


if __name__ == "__main__":
    sys.exit(main())
