# SPDX-License-Identifier: Apache-2.0
"""Reads a topic back and compares it with what load.py was promised.

consistency.py --bootstrap LIST --topic NAME --partitions N --history PATH
consistency.py --self-test

The rules are those of Redpanda's small consistency checker (chaos, reads_writes/consistency.py), written anew:
every acknowledged record is at its offset with its value; an acknowledgement's offset is above all that were known
when the record was sent, and nobody else's; offsets read rise without holes from 0; a record of unknown outcome is
there at most once, above what was known when it was sent; nothing is there that nobody sent. One JSON object is
printed; the exit code is 1 when any rule is broken, 2 when the topic cannot be read.
"""
import argparse
import json
import sys
import time
from collections import defaultdict

RULES = ["lost", "moved", "duplicated", "reordered", "shared_offset", "hole", "foreign", "damaged"]


class Verdict:
    def __init__(self):
        self.broken = {rule: 0 for rule in RULES}
        self.examples = []

    def report(self, rule, sentence):
        self.broken[rule] += 1
        if len(self.examples) < 20:
            self.examples.append(f"{rule}: {sentence}")


def check_partition(verdict, partition, promises, records):
    """`promises`: (ok, sequence, offset, floor); `records`: (offset, partition its value names, sequence, intact)."""
    owner = {}
    for ok, sequence, offset, floor in promises:
        if not ok:
            continue
        if offset in owner:
            verdict.report("shared_offset", f"{partition}/{offset} promised to {owner[offset]} and to {sequence}")
        owner[offset] = sequence
        if offset <= floor:
            verdict.report("reordered", f"{partition}/{offset} of {sequence} is not above {floor}, known when sent")

    places, at = defaultdict(list), {}
    expected = 0
    for offset, home, sequence, intact in records:
        if offset < expected:
            verdict.report("reordered", f"{partition}/{offset} was read after {expected - 1}")
        elif offset > expected:
            verdict.report("hole", f"{partition}: {expected} to {offset - 1} are not there")
        expected = max(expected, offset + 1)
        if not intact:
            verdict.report("damaged", f"{partition}/{offset} is no value of the load")
            continue
        if home != partition:
            verdict.report("foreign", f"{partition}/{offset} holds a record of partition {home}")
            continue
        places[sequence].append(offset)
        at[offset] = sequence

    known = set()
    for ok, sequence, offset, floor in promises:
        known.add(sequence)
        found = places.get(sequence, [])
        if len(found) > 1:
            verdict.report("duplicated", f"{partition}: {sequence} is at {found}")
        if ok and not found:
            verdict.report("lost", f"{partition}/{offset} of {sequence} was acknowledged and is not there")
        elif ok and at.get(offset) != sequence:
            verdict.report("moved", f"{partition}: {sequence} was promised {offset} and is at {found}")
        elif not ok and any(place <= floor for place in found):
            verdict.report("reordered", f"{partition}: {sequence}, of unknown outcome, is at {found}, below {floor}")
    for sequence in sorted(set(places) - known):
        verdict.report("foreign", f"{partition}: {sequence} at {places[sequence]} was never sent")


def read_history(path, partitions):
    promises = [[] for _ in range(partitions)]
    with open(path, encoding="ascii") as file:
        for line in file:
            outcome, partition, sequence, offset, floor = line.split("\t")[:5]
            promises[int(partition)].append((outcome == "ok", int(sequence), int(offset), int(floor)))
    return promises


def parse(value, length):
    """The partition and sequence a value names, and whether it is whole."""
    parts = (value or b"").split(b":", 2)
    if len(parts) != 3 or not parts[0].isdigit() or not parts[1].isdigit():
        return (-1, -1, False)
    return (int(parts[0]), int(parts[1]), length is None or parts[2] == length)


def read_topic(bootstrap, topic, partitions, seconds=120):
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
    consumer = Consumer({
        "bootstrap.servers": bootstrap,
        "log_level": 2,
        "group.id": "unused",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "check.crcs": True,
        "auto.offset.reset": "error",
    })
    deadline = time.monotonic() + seconds
    ends = {}
    for partition in range(partitions):
        while partition not in ends:
            try:
                low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5)
                ends[partition] = high
            except Exception as error:  # a leader may still be on its way
                if time.monotonic() > deadline:
                    sys.exit(f"no end of {topic}/{partition}: {error}")
                time.sleep(0.05)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(partitions)])
    records, filling, open_partitions = [[] for _ in range(partitions)], None, set(range(partitions))
    while open_partitions and time.monotonic() < deadline:
        for message in consumer.consume(5000, timeout=0.2):
            if message.error() is None:
                if filling is None:
                    filling = message.value().split(b":", 2)[-1]
                records[message.partition()].append((message.offset(), *parse(message.value(), filling)))
            elif message.error().code() == KafkaError._PARTITION_EOF:
                if message.offset() >= ends[message.partition()]:
                    open_partitions.discard(message.partition())
            elif message.error().code() == KafkaError._AUTO_OFFSET_RESET:
                sys.exit(f"cannot read on: {message.error()}")
    if open_partitions:
        print(f"partitions {sorted(open_partitions)} were not read to their ends {ends} in time", file=sys.stderr)
        sys.exit(2)
    consumer.close()
    return records


def check(promises, records):
    verdict = Verdict()
    for partition, promised in enumerate(promises):
        check_partition(verdict, partition, promised, records[partition])
    return verdict


def self_test():
    """One planted fault a rule, each on an otherwise sound history; and the sound one, which breaks nothing."""
    promises = [(True, 0, 0, -1), (True, 1, 1, 0), (False, 2, -1, 1), (True, 3, 3, 1), (False, 4, -1, 3)]
    records = [(0, 0, 0, True), (1, 0, 1, True), (2, 0, 2, True), (3, 0, 3, True)]
    plants = {
        None: (promises, records),
        "lost": (promises, records[:3]),
        "moved": (promises, [records[0], (1, 0, 3, True), records[2], (3, 0, 1, True)]),
        "duplicated": (promises, records + [(4, 0, 2, True)]),
        "reordered": ([(True, 0, 0, -1), (True, 1, 1, 0), (False, 2, -1, 1), (True, 3, 3, 3)], records),
        "shared_offset": (promises[:3] + [(True, 3, 1, 0)], records),
        "hole": (promises + [(True, 5, 6, 3)], records + [(6, 0, 5, True)]),
        "foreign": (promises, records + [(4, 0, 9, True)]),
        "damaged": (promises, records + [(4, -1, -1, False)]),
    }
    missed = []
    for rule, (promised, read) in plants.items():
        broken = {name for name, count in check([promised], [read]).broken.items() if count}
        if (rule is None and broken) or (rule is not None and rule not in broken):
            missed.append(f"{rule}: found {sorted(broken)}")
    back = records[:2] + [records[3], records[2]]
    if not check([promises], [back]).broken["reordered"]:
        missed.append("reordered reads")
    early = [(True, 0, 1, -1), (False, 2, -1, 1)]
    if not check([early], [[(0, 0, 2, True), (1, 0, 0, True)]]).broken["reordered"]:
        missed.append("an unknown record below its floor")
    print(json.dumps({"plants": len(plants) + 2, "missed": missed}))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--self-test", action="store_true")
    for option in ["bootstrap", "topic", "history"]:
        parser.add_argument("--" + option)
    parser.add_argument("--partitions", type=int)
    arguments = parser.parse_args()
    if arguments.self_test:
        self_test()
    history = read_history(arguments.history, arguments.partitions)
    log = read_topic(arguments.bootstrap, arguments.topic, arguments.partitions)
    result = check(history, log)
    print(json.dumps({
        "acked": sum(promise[0] for promised in history for promise in promised),
        "unknown": sum(not promise[0] for promised in history for promise in promised),
        "read": sum(map(len, log)),
        "broken": result.broken,
        "examples": result.examples,
    }))
    sys.exit(1 if any(result.broken.values()) else 0)
