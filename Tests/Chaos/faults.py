# SPDX-License-Identifier: Apache-2.0
"""What can be done to the cluster, one class a kind. `inject` returns what was done, in words; `heal` undoes it."""
import glob
import os
import signal
import threading
import time

from cluster import CLIENTS


class Fault:
    kind = ""
    seconds = (3, 8)      # for how long, when nothing else is said
    occupies = True       # the target's process or disk: no other fault may want the same node
    needs = ()            # a command that the program must have

    def __init__(self, cluster, chance, view):
        self.cluster, self.chance, self.view = cluster, chance, view
        self.targets = []

    def choose(self, free):
        """The nodes it wants out of those that no other fault has; empty when it cannot be."""
        return [self.chance.choice(free)] if free else []

    def leader_among(self, free):
        leader = self.view.some_leader()
        return [leader] if leader in free else []

    def minority(self, free):
        count = self.chance.randint(1, (len(self.cluster.nodes) - 1) // 2)
        return self.chance.sample(free, count) if len(free) >= count else []

    def inject(self):
        raise NotImplementedError

    def heal(self):
        raise NotImplementedError

    def others(self, node):
        return [other for other in self.cluster.nodes if other is not node]


class Kill(Fault):
    def inject(self):
        for node in self.targets:
            node.kill()
        return f"kill -9 {self.targets}"

    def heal(self):
        self.cluster.power_on(self.targets)


class KillLeader(Kill):
    kind = "kill-leader"

    def choose(self, free):
        return self.leader_among(free)


class KillRandom(Kill):
    kind = "kill-random"


class KillAll(Kill):
    kind = "kill-all"
    seconds = (1, 3)

    def choose(self, free):
        return list(self.cluster.nodes) if len(free) == len(self.cluster.nodes) else []


class Pause(Fault):
    seconds = (1, 30)

    def inject(self):
        for node in self.targets:
            node.signal(signal.SIGSTOP)
        return f"SIGSTOP {self.targets}"

    def heal(self):
        for node in self.targets:
            node.signal(signal.SIGCONT)


class PauseLeader(Pause):
    kind = "pause-leader"

    def choose(self, free):
        return self.leader_among(free)


class PauseMajority(Pause):
    kind = "pause-majority"
    seconds = (1, 15)

    def choose(self, free):
        count = len(self.cluster.nodes) // 2 + 1
        return self.chance.sample(free, count) if len(free) >= count else []


class PowerLoss(Fault):
    seconds = (0.5, 5)

    def inject(self):
        self.cluster.power_loss(self.targets)
        return f"power loss of {self.targets}"

    def heal(self):
        self.cluster.power_on(self.targets)


class PowerLossOne(PowerLoss):
    kind = "power-loss-one"

    def choose(self, free):
        return self.leader_among(free) or super().choose(free)


class PowerLossMinority(PowerLoss):
    kind = "power-loss-minority"

    def choose(self, free):
        return self.minority(free)


class PowerLossAll(PowerLoss):
    kind = "power-loss-all"
    seconds = (0.5, 2)

    def choose(self, free):
        return list(self.cluster.nodes) if len(free) == len(self.cluster.nodes) else []


class Network(Fault):
    occupies = False
    seconds = (5, 15)

    def drop_from(self, node, sources):
        """What comes from these addresses is lost."""
        node.obstruct(self, [("in", f"ip saddr {source} drop") for source in sources])

    def drop_to(self, node, destinations):
        node.obstruct(self, [("out", f"ip daddr {destination} drop") for destination in destinations])

    def heal(self):
        for node in self.cluster.nodes:
            node.release(self)

    @staticmethod
    def addresses(nodes):
        return [address for node in nodes for address in (node.kafka, node.peer)]

    def choose(self, free):
        return self.leader_among(self.cluster.nodes) or [self.chance.choice(self.cluster.nodes)]


class CutPeers(Network):
    """The leader loses the other nodes and keeps its clients: who still believes in it must not be told old things."""
    kind = "cut-peers"

    def inject(self):
        node = self.targets[0]
        self.drop_from(node, self.addresses(self.others(node)))
        self.drop_to(node, self.addresses(self.others(node)))
        return f"{node} without peers, with clients"


class CutNode(Network):
    kind = "cut-node"

    def inject(self):
        node = self.targets[0]
        self.drop_from(node, self.addresses(self.others(node)) + [CLIENTS])
        self.drop_to(node, self.addresses(self.others(node)) + [CLIENTS])
        return f"{node} without anyone"


class CutOneWay(Network):
    """A node that hears and is not heard, or is heard and does not hear."""
    kind = "cut-one-way"

    def inject(self):
        node, is_deaf = self.targets[0], self.chance.random() < 0.5
        some = self.others(node)
        if self.chance.random() < 0.5:
            some = self.chance.sample(some, max(1, len(some) // 2))
        if is_deaf:
            self.drop_from(node, self.addresses(some))
            return f"{node} does not hear {some}"
        self.drop_to(node, self.addresses(some))
        return f"{node} is not heard by {some}"


class CutRing(Network):
    """Every node still reaches a majority, and no two the same one; with three nodes one of them is the bridge."""
    kind = "cut-ring"

    def inject(self):
        nodes, words = list(self.cluster.nodes), []
        self.chance.shuffle(nodes)
        count = len(nodes)
        reach = (count // 2) // 2 or 1
        for place, node in enumerate(nodes):
            near = {(place + step) % count for step in range(-reach, reach + 1)}
            if count == 3:
                near = {place, 0} if place else {0, 1, 2}
            lost = [other for index, other in enumerate(nodes) if index not in near]
            if lost:
                self.drop_from(node, self.addresses(lost))
                words.append(f"{node} without {lost}")
        return ", ".join(words)


class Flap(Network):
    kind = "flap"

    def inject(self):
        node, self.is_over = self.targets[0], threading.Event()
        pauses = [self.chance.uniform(0.2, 2) for _ in range(100)]

        def swing():
            for pause in pauses:
                node.link(False)
                if self.is_over.wait(min(pause, 1)):
                    break
                node.link(True)
                if self.is_over.wait(pause):
                    break
            node.link(True)

        self.thread = threading.Thread(target=swing)
        self.thread.start()
        return f"the link of {node} goes up and down"

    def heal(self):
        self.is_over.set()
        self.thread.join()


class Loss(Network):
    kind = "packet-loss"

    def inject(self):
        percent = self.chance.choice([1, 5, 10, 20, 30])
        for node in self.cluster.nodes:
            node.obstruct(self, [(chain, f"numgen random mod 100 < {percent} drop") for chain in ("in",)])
        return f"{percent} % of all packets lost"


class LostAnswers(Network):
    """What the leader tells its clients is lost; what they tell it is not."""
    kind = "lost-answers"
    seconds = (5, 12)

    def inject(self):
        self.drop_to(self.targets[0], [CLIENTS])
        return f"answers of {self.targets[0]} are lost"


class DiskFull(Fault):
    kind = "disk-full"
    seconds = (5, 12)

    def choose(self, free):
        return self.leader_among(free) or super().choose(free)

    def inject(self):
        node = self.targets[0]
        with open(f"{node.mount}/foreign", "wb") as file:
            try:
                for share in (1, 2, 4, 16, 64):
                    free = os.statvfs(node.mount)
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size,
                                       max(4096, free.f_bavail * free.f_frsize // share))
            except OSError:
                pass
            try:
                while True:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, 4096)
            except OSError:
                pass
        return f"the disk of {node} is full"

    def heal(self):
        for node in self.targets:
            try:
                os.remove(f"{node.mount}/foreign")
            except FileNotFoundError:
                pass


class SyncError(Fault):
    """fsync fails, a while later succeeds again, and then the power goes: what it did not sync is really lost."""
    kind = "fsync-error"
    seconds = (3, 8)

    def choose(self, free):
        return self.leader_among(free) or super().choose(free)

    def inject(self):
        node = self.targets[0]
        self.before = node.control["failed"]
        count = self.chance.choice([1, 1, 2, 5, 1000])
        node.control["failures"] = count
        return f"the next {count} syncs of {node} fail"

    def heal(self):
        for node in self.targets:
            node.control["failures"] = 0
            self.cluster.power_loss([node])
            self.cluster.power_on([node])


class SlowSync(Fault):
    kind = "slow-fsync"
    seconds = (5, 12)
    occupies = False

    def choose(self, free):
        return self.leader_among(self.cluster.nodes) or [self.chance.choice(self.cluster.nodes)]

    def inject(self):
        delay = self.chance.choice([100, 300, 1000, 3000])
        self.targets[0].control["delay"] = delay
        return f"syncs of {self.targets[0]} take {delay} ms longer"

    def heal(self):
        for node in self.targets:
            node.control["delay"] = 0


class RollingRestart(Fault):
    kind = "rolling-restart"
    seconds = (0, 0)

    def choose(self, free):
        return list(self.cluster.nodes) if len(free) == len(self.cluster.nodes) else []

    def inject(self):
        order = list(self.cluster.nodes)
        self.chance.shuffle(order)
        for node in order:
            node.stop()
            node.start()
            self.cluster.wait_whole(30)
        return f"restart of {order}, one after the other"

    def heal(self):
        pass


class ClockJump(Fault):
    """The time of day jumps; the monotonic clock does not, as when somebody sets the time."""
    kind = "clock-jump"
    occupies = False

    def choose(self, free):
        count = self.chance.choice([1, len(self.cluster.nodes)])
        return self.chance.sample(self.cluster.nodes, count)

    def inject(self):
        words = []
        for node in self.targets:
            jump = self.chance.choice(["+2h", "-2h", "+10y", "-3y", "+45"])
            node.set_clock(jump)
            words.append(f"{node} {jump}")
        return "clocks: " + ", ".join(words)

    def heal(self):
        for node in self.targets:
            node.set_clock("+0")


class BitRot(Fault):
    """A bit turns over, or a sector is lost, in a log of a stopped node, somewhere in its older half."""
    kind = "bit-rot"
    seconds = (0, 1)
    needs = ("log", "verify")

    def inject(self):
        node = self.targets[0]
        node.kill()
        found = [path for path in glob.glob(f"{node.data}/**/*.log", recursive=True) if os.path.getsize(path) > 4096]
        if not found:
            return f"{node}: no log is long enough to rot"
        path = self.chance.choice(sorted(found))
        place, bit = self.chance.randrange(os.path.getsize(path) // 2), self.chance.randrange(8)
        is_sector = self.chance.random() < 0.3
        with open(path, "r+b") as file:
            file.seek(place // 512 * 512 if is_sector else place)
            if is_sector:
                file.write(bytes(512))
            else:
                byte = file.read(1)[0]
                file.seek(place)
                file.write(bytes([byte ^ (1 << bit)]))
        what = f"the sector at {place // 512 * 512}" if is_sector else f"bit {bit} of byte {place}"
        return f"{node}: {what} of {os.path.relpath(path, node.data)}"

    def heal(self):
        self.cluster.power_on(self.targets)


class Move(Fault):
    """Partitions move to other nodes, or are kept by fewer, under load; sometimes that is cancelled half way."""
    kind = "move"
    seconds = (0.2, 6)
    occupies = False
    needs = ("cluster", "move")

    def choose(self, free):
        return [self.cluster.nodes[0]]  # no node is touched

    def inject(self):
        nodes = [node.number for node in self.cluster.nodes]
        count = self.view.replicas if len(nodes) > self.view.replicas else len(nodes) - 1
        self.wish = self.chance.sample(nodes, count)
        everything = range(self.view.partitions)
        self.moved = self.chance.choice([[self.chance.choice(everything)], list(everything)])
        self.choice = f"{self.view.topic}:{','.join(map(str, self.moved))}"
        self.is_cancelled = self.chance.random() < 0.3
        took = self.move(self.wish)
        end = "; cancelled later" if self.is_cancelled else ""
        return f"{self.choice} to {self.wish}{end}{'' if took else ' (refused)'}"

    def move(self, numbers):
        return self.cluster.command("cluster", "move", self.choice, "--to", ",".join(map(str, numbers))) is not None

    def heal(self):
        if self.is_cancelled:
            self.cluster.command("cluster", "cancel", self.choice)
        if len(self.wish) < self.view.replicas:
            # Back to where it was, whether the first move has ended or not; it may have been too late to cancel it.
            numbers = [node.number for node in self.cluster.nodes]
            self.chance.shuffle(numbers)
            deadline = time.monotonic() + 60
            while not self.move(numbers) and time.monotonic() < deadline:
                time.sleep(0.5)


class KillClients(Fault):
    kind = "kill-clients"
    seconds = (1, 3)
    occupies = False

    def choose(self, free):
        return [self.cluster.nodes[0]]  # no node is touched

    def inject(self):
        self.killed = self.view.load.kill_some(self.chance)
        return f"kill -9 {', '.join(self.killed)}"

    def heal(self):
        self.view.load.revive(self.killed)


KINDS = {each.kind: each for each in [
    KillLeader, KillRandom, KillAll, PauseLeader, PauseMajority, PowerLossOne, PowerLossMinority, PowerLossAll,
    CutPeers, CutNode, CutOneWay, CutRing, Flap, Loss, LostAnswers, DiskFull, SyncError, SlowSync, RollingRestart,
    ClockJump, BitRot, Move, KillClients]}
