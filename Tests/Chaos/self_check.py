# SPDX-License-Identifier: Apache-2.0
"""Shows that the comparison of segments sees what it should: each planted fault is found, and none in sound segments.

The checks of histories have their own tests, in Tests/HistoriesTests.
"""
import os
import struct
import tempfile
from types import SimpleNamespace

import load
import replicas
from machine import MachineDisk

TOPIC = "0123456789abcdef0123456789abcdef"


def zigzag(number):
    number, out = number << 1 if number >= 0 else -number * 2 - 1, b""
    while number >= 0x80:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def batch(offset, producer, epoch, sequence, *values):
    """A record batch as a segment has it (Kafka's format 2); nobody here looks at its checksum."""
    records = b""
    for delta, value in enumerate(values):
        data = load.payload(value)
        body = b"\0" + zigzag(0) + zigzag(delta) + zigzag(-1) + zigzag(len(data)) + data + zigzag(0)
        records += zigzag(len(body)) + body
    head = struct.pack(">ibIhiqqqhii", 7, 2, 0, 0, len(values) - 1, 0, 0, producer, epoch, sequence, len(values))
    return struct.pack(">qi", offset, len(head) + len(records)) + head + records


SOUND = [batch(0, 5, 0, 0, 100, 101), batch(2, -1, -1, -1, 200), batch(3, 5, 0, 2, 102), batch(4, 5, 1, 0, 103)]


def judged(*copies):
    """What the comparison says of copies of one log, each a list of batches."""
    with tempfile.TemporaryDirectory() as folder:
        nodes = []
        for number, batches in enumerate(copies):
            data = f"{folder}/n{number}"
            os.makedirs(f"{data}/topics/{TOPIC}-0")
            with open(f"{data}/topics/{TOPIC}-0/00000000000000000000.log", "wb") as file:
                file.write(b"".join(batches) + bytes(512))
            nodes.append(SimpleNamespace(data=data, number=number))
        differing, _ = replicas.compare(nodes)
        wrong, resent = replicas.producers(nodes[:1], TOPIC)
        return len(differing), len(wrong), resent


def longest_sync(began, ended):
    disk = MachineDisk("")
    disk.syncs = [(0, 10), (20, 50), (60, 61), (70, 90)]
    return round(disk.longest(began, ended) * 1e9)


def main():
    damaged = SOUND[:1] + [SOUND[1][:-1] + b"!"] + SOUND[2:]
    cases = {
        "a sync within the time": (longest_sync(11, 65), 30),
        "a sync that began before": (longest_sync(45, 62), 30),
        "a sync that ended after": (longest_sync(55, 80), 20),
        "no sync at that time": (longest_sync(62, 69), 0),
        "sound copies": (judged(SOUND, SOUND), (0, 0, [])),
        "one byte differs": (judged(SOUND, damaged), (1, 0, [])),
        "a copy ends early": (judged(SOUND, SOUND[:-1]), (1, 0, [])),
        "a batch is stored twice": (judged(SOUND[:3] + [batch(4, 5, 0, 2, 102)]), (0, 1, [])),
        "a batch is missing": (judged(SOUND[:2] + [batch(3, 5, 0, 3, 102)]), (0, 1, [])),
        "an epoch does not begin with 0": (judged(SOUND[:3] + [batch(4, 5, 1, 3, 103)]), (0, 1, [])),
        "an epoch comes back": (judged(SOUND + [batch(5, 5, 0, 3, 104)]), (0, 1, [])),
        "a value is sent again in a new epoch": (judged(SOUND + [batch(5, 5, 2, 0, 103)]), (0, 0, [103])),
    }
    for name, (found, wanted) in cases.items():
        assert found == wanted, f"{name}: found {found}, not {wanted}"


if __name__ == "__main__":
    main()
