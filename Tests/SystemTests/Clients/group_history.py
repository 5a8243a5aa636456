# SPDX-License-Identifier: Apache-2.0
"""Watches a group's committed offsets, and holds the histories of producers and consumers against the topic.

group_history.py watch  --bootstrap LIST --topic NAME --group NAME --history PATH
    Asks for the committed offsets again and again until its standard input is closed.
    One line a partition: observed  began  ended  -  partition  offset
group_history.py settle --bootstrap LIST --topic NAME --group NAME --partitions N [--seconds N]
    Waits until the group has committed the end of every partition.
group_history.py check  --bootstrap LIST --topic NAME --partitions N [--no-group] PATH…
    Reads the topic back. One JSON object is printed; the exit code is 1 when a rule is broken, 2 when the topic cannot
    be read. The paths are histories of sequence_load.py, SequenceProducer.java, group_member.py and `watch`.
    --no-group: nobody consumed, so nothing need have been read.
group_history.py --self-check
    A fault planted against each rule is found, and none in a sound history.

The rules. `lost`: an acknowledged record is not in the log. `moved`: it is, at another offset than the acknowledgement
said. `twice`: a record is in the log more than once. `foreign`: the log holds what nobody sent. `reordered`: a
producer's records of one partition are not in the order it sent them. `unread`: no consumer read an acknowledged
record. `changed`: a consumer read something else at an offset than the log has. `back`: of two looks at a partition's
committed offset (a commit that was acknowledged, an offset fetched), the one that began after the other had ended shows
less.
"""
import argparse
import json
import sys
import threading
import time
from collections import Counter, defaultdict

from consistency import read_topic

RULES = ["lost", "moved", "twice", "foreign", "reordered", "unread", "changed", "back"]


class History:
    """What the processes wrote, put together."""

    def __init__(self):
        self.acked = {}                       # (producer, sequence): (partition, offset)
        self.ack_waits = []                   # from the sending to the acknowledgement
        self.failed = 0
        self.sent = {}                        # producer: records
        self.reads = defaultdict(set)         # (partition, offset): {(producer, sequence)}
        self.read_count = 0
        self.looks = defaultdict(list)        # partition: (began, ended, offset, who)
        self.refused = Counter()              # errors of commits
        self.ack_times, self.read_times = {}, {}  # by (partition, offset); the first reading of several
        self.lost_partitions = 0

    def take(self, line):
        word, *fields = line.rstrip("\n").split("\t")
        if word == "acked":
            when, producer, sequence, partition, offset, sent = map(int, fields)
            self.acked[producer, sequence] = (partition, offset)
            self.ack_times[partition, offset] = when
            self.ack_waits.append(when - sent)
        elif word == "failed":
            self.failed += 1
        elif word == "done":
            self.sent[int(fields[1])] = int(fields[2])
        elif word == "read":
            when, partition, offset, producer, sequence = int(fields[0]), *map(int, fields[2:])
            self.reads[partition, offset].add((producer, sequence))
            self.read_count += 1
            self.read_times[partition, offset] = min(when, self.read_times.get((partition, offset), when))
        elif word == "commit" and fields[5] != "ok":
            self.refused[fields[5]] += 1
        elif word in ("commit", "position", "observed"):
            began, ended, who, partition, offset = fields[:5]
            self.looks[int(partition)].append((int(began), int(ended), int(offset), f"{word} by {who}"))
        elif word == "lost":
            self.lost_partitions += 1


class Verdict:
    def __init__(self):
        self.broken = dict.fromkeys(RULES, 0)
        self.examples = []

    def report(self, rule, sentence):
        self.broken[rule] += 1
        if self.broken[rule] <= 5:
            self.examples.append(f"{rule}: {sentence}")


def check_log(verdict, history, log, has_group):
    """`log`: for each partition a list of (offset, producer, sequence, intact)."""
    places, content = defaultdict(list), {}
    for partition, records in enumerate(log):
        latest = {}
        for offset, producer, sequence, intact in records:
            if not intact or not 0 <= sequence < history.sent.get(producer, 0):
                verdict.report("foreign", f"{partition}/{offset}: {producer}:{sequence} was never sent")
                continue
            if sequence <= latest.get(producer, -1) and not places[producer, sequence]:
                verdict.report("reordered", f"{partition}/{offset}: {producer}:{sequence} after {latest[producer]}")
            latest[producer] = max(sequence, latest.get(producer, -1))
            places[producer, sequence].append((partition, offset))
            content[partition, offset] = (producer, sequence)
    for (producer, sequence), found in places.items():
        if len(found) > 1:
            verdict.report("twice", f"{producer}:{sequence} is at {found}")
    for (producer, sequence), promised in history.acked.items():
        found = places.get((producer, sequence), [])
        if not found:
            verdict.report("lost", f"{producer}:{sequence}, acknowledged at {promised}")
        elif promised not in found:
            verdict.report("moved", f"{producer}:{sequence}, acknowledged at {promised}, is at {found}")
        if has_group and promised not in history.reads:
            verdict.report("unread", f"{producer}:{sequence}, acknowledged at {promised}")
    for place, seen in history.reads.items():
        if seen != {content.get(place)}:
            verdict.report("changed", f"{place} was read as {sorted(seen)} and holds {content.get(place)}")


def check_commits(verdict, history):
    for partition, looks in sorted(history.looks.items()):
        by_end = sorted(looks, key=lambda look: look[1])
        highest, place = None, 0
        for began, _, offset, who in sorted(looks):
            while place < len(by_end) and by_end[place][1] <= began:
                if highest is None or by_end[place][2] > highest[2]:
                    highest = by_end[place]
                place += 1
            if highest is not None and offset < highest[2]:
                verdict.report("back", f"{partition}: {who} at {began} has {offset}; before, at {highest[1]}, "
                                       f"{highest[3]} had {highest[2]}")


def longest_pause(times):
    """Between two neighbours, in seconds."""
    times = sorted(times)
    return max((after - before for before, after in zip(times, times[1:])), default=0) / 1e6


def longest_lag(history):
    """From a record's acknowledgement to its first reading, in seconds."""
    both = history.ack_times.keys() & history.read_times.keys()
    return max((history.read_times[place] - history.ack_times[place] for place in both), default=0) / 1e6


def check(history, log, has_group=True):
    verdict = Verdict()
    check_log(verdict, history, log, has_group)
    check_commits(verdict, history)
    return verdict


def summary(history, log, verdict):
    return {
        "sent": sum(history.sent.values()),
        "acked": len(history.acked),
        "failed": history.failed,
        "stored": sum(map(len, log)),
        "read": history.read_count,
        "readAgain": history.read_count - len(history.reads),
        "commits": sum(look[3].startswith("commit") for looks in history.looks.values() for look in looks),
        "commitsRefused": dict(history.refused),
        "looks": sum(map(len, history.looks.values())),
        "partitionsLost": history.lost_partitions,
        "productionStallSeconds": round(longest_pause(history.ack_times.values()), 3),
        "consumptionStallSeconds": round(longest_pause(history.read_times.values()), 3),
        "slowestAckSeconds": round(max(history.ack_waits, default=0) / 1e6, 3),
        "slowestReadSeconds": round(longest_lag(history), 3),
        "broken": verdict.broken,
        "examples": verdict.examples,
    }


class Committed:
    """Asks for the group's committed offsets; of kafka-python, whose questions outlive the death of whom they ask.

    While nodes die, librdkafka's administrative client now and then ends the whole process (2.16.1: a null pointer in
    its main thread).
    """

    def __init__(self, args):
        self.args, self.admin = args, None

    def ask(self):
        from kafka import KafkaAdminClient
        try:
            if self.admin is None:
                self.admin = KafkaAdminClient(
                    bootstrap_servers=self.args.bootstrap.split(","), request_timeout_ms=3000)
            found = self.admin.list_group_offsets({self.args.group: None})[self.args.group]
        except Exception:
            # The next question looks for the coordinator anew.
            admin, self.admin = self.admin, None
            if admin is not None:
                admin.close()
            raise
        return {place.partition: each.offset for place, each in found.items()
                if place.topic == self.args.topic and each.offset >= 0}


def watch(args, stop):
    committed = Committed(args)
    with open(args.history, "w", encoding="utf-8") as file:
        while not stop.wait(0.1):
            began = time.monotonic_ns() // 1000
            try:
                offsets = committed.ask()
            except Exception:  # the coordinator is on its way
                continue
            ended = time.monotonic_ns() // 1000
            for partition, offset in sorted(offsets.items()):
                file.write(f"observed\t{began}\t{ended}\t-\t{partition}\t{offset}\n")
            file.flush()


def ends(args):
    """Where each partition ends: asked by a new client every time.

    For kafka-python (3.0.12) asks a deposed leader again and again, without a pause, and looks for its successor only
    when its metadata is five minutes old.
    """
    from kafka import KafkaConsumer, TopicPartition
    reader = KafkaConsumer(bootstrap_servers=args.bootstrap.split(","), request_timeout_ms=3000)
    try:
        places = [TopicPartition(args.topic, number) for number in range(args.partitions)]
        return {place.partition: end for place, end in reader.end_offsets(places).items()}
    finally:
        reader.close()


def settle(args):
    committed, deadline, seen = Committed(args), time.monotonic() + args.seconds, ""
    while time.monotonic() < deadline:
        try:
            wanted, now = ends(args), committed.ask()
            seen = f"committed {sorted(now.items())} of {sorted(wanted.items())}"
            if len(wanted) == args.partitions and all(now.get(number, 0) >= end for number, end in wanted.items()):
                return
        except Exception as error:  # a leader is on its way
            seen = str(error)
        time.sleep(0.1)
    sys.exit(f"the group has not read everything within {args.seconds} s: {seen}")


SOUND = """acked 10 0 0 0 0 9
acked 20 0 1 0 1 11
acked 25 7 0 1 0 12
failed 30 0 2 timed out
acked 2000040 0 3 0 2 13
done 90 0 5
done 90 7 1
read 50 m1 0 0 0 0
read 51 m1 0 1 0 1
read 52 m2 0 1 0 1
read 3500053 m2 0 2 0 3
read 54 m2 1 0 7 0
commit 60 62 m1 0 1 ok
commit 60 62 m1 1 1 no coordinator
observed 61 63 - 0 0
position 70 72 m2 0 1
commit 80 83 m2 0 3 ok
observed 81 82 - 0 1
observed 84 85 - 0 3
lost 86 m1 0"""
SOUND_LOG = [[(0, 0, 0, True), (1, 0, 1, True), (2, 0, 3, True), (3, 0, 4, True)], [(0, 7, 0, True)]]


def self_check():
    def outcome(lines, log):
        history = History()
        for line in lines.splitlines():
            head = line.split(" ")
            # Errors have blanks of their own.
            words = head[:4] + [" ".join(head[4:])] if head[0] == "failed" else head
            words = head[:6] + [" ".join(head[6:])] if head[0] == "commit" else words
            history.take("\t".join(words))
        verdict = check(history, log)
        return {rule for rule, count in verdict.broken.items() if count}, summary(history, log, verdict)

    def without(text):
        lines = SOUND.splitlines()
        assert text in lines
        return "\n".join(line for line in lines if line != text)

    first, second = SOUND_LOG
    plants = [
        ("lost changed", SOUND, [first[:2] + first[3:], second]),
        ("lost changed", SOUND, [first, []]),
        ("moved reordered changed", SOUND, [[(0, 0, 1, True), (1, 0, 0, True), *first[2:]], second]),
        ("twice", SOUND, [first + [(4, 0, 1, True)], second]),
        ("twice", SOUND, [first, second + [(1, 0, 0, True)]]),
        ("foreign", SOUND, [first + [(4, 0, 5, True)], second]),
        ("foreign", SOUND, [first + [(4, 3, 0, True)], second]),
        ("foreign", SOUND, [first + [(4, -1, -1, False)], second]),
        ("reordered", SOUND, [[*first[:3], (3, 0, 4, True), (4, 0, 2, True)], second]),
        ("unread", without("read 3500053 m2 0 2 0 3"), SOUND_LOG),
        ("unread", without("read 54 m2 1 0 7 0"), SOUND_LOG),
        ("changed", SOUND + "\nread 90 m1 0 3 0 2", SOUND_LOG),
        ("changed", SOUND + "\nread 90 m1 0 9 0 4", SOUND_LOG),
        ("back", SOUND + "\nobserved 90 91 - 0 2", SOUND_LOG),
        ("back", SOUND + "\nposition 90 91 m1 0 -1", SOUND_LOG),
        ("back", SOUND + "\ncommit 90 91 m1 0 1 ok", SOUND_LOG),
        ("back", SOUND.replace("observed 81 82 - 0 1", "observed 64 66 - 0 0"), SOUND_LOG),
        ("back", SOUND.replace("observed 61 63 - 0 0", "observed 61 63 - 0 2"), SOUND_LOG),
    ]
    missed = [f"{number}: {rules}" for number, (rules, lines, log) in enumerate(plants)
              if outcome(lines, log)[0] != set(rules.split())]
    broken, figures = outcome(SOUND, SOUND_LOG)
    if broken:
        missed.append(f"the sound history breaks {sorted(broken)}")
    wanted = {"sent": 6, "acked": 4, "failed": 1, "stored": 5, "read": 5, "readAgain": 1, "commits": 2, "looks": 6,
              "partitionsLost": 1, "commitsRefused": {"no coordinator": 1},
              "productionStallSeconds": 2.0, "consumptionStallSeconds": 3.5, "slowestAckSeconds": 2.0,
              "slowestReadSeconds": 1.5}
    missed += [f"{key}: {figures[key]}" for key, value in wanted.items() if figures[key] != value]
    print(json.dumps({"plants": len(plants), "missed": missed}))
    sys.exit(1 if missed else 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--self-check", action="store_true")
    parser.add_argument("--no-group", action="store_true")
    parser.add_argument("act", nargs="?", choices=["watch", "settle", "check"])
    parser.add_argument("paths", nargs="*")
    for option in ["bootstrap", "topic", "group", "history"]:
        parser.add_argument("--" + option)
    parser.add_argument("--partitions", type=int)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_intermixed_args()
    if args.self_check:
        self_check()
    if args.act == "watch":
        stopped = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
        watch(args, stopped)
    elif args.act == "settle":
        settle(args)
    elif args.act == "check":
        history = History()
        for path in args.paths:
            with open(path, encoding="utf-8") as file:
                for line in file:
                    history.take(line)
        log = read_topic(args.bootstrap, args.topic, args.partitions)
        verdict = check(history, log, not args.no_group)
        print(json.dumps(summary(history, log, verdict), indent=2))
        sys.exit(1 if any(verdict.broken.values()) else 0)
    else:
        parser.error("watch, settle, check or --self-check")


if __name__ == "__main__":
    main()
