# SPDX-License-Identifier: Apache-2.0
"""What the segments of stopped nodes say: whether they are the same byte for byte, and whether every producer's
sequence numbers are what idempotence promises."""
import glob
import os
import struct
from collections import defaultdict

HEAD = struct.Struct(">qi")  # of a record batch: base offset, length of what follows


def entries(folder):
    """The entries of one replica's log, in order: (offset, bytes)."""
    found = []
    for path in sorted(glob.glob(f"{folder}/*.log"), key=lambda path: os.path.basename(path)):
        with open(path, "rb") as file:
            data = file.read()
        place = 0
        while place + HEAD.size <= len(data):
            offset, length = HEAD.unpack_from(data, place)
            end = place + HEAD.size + length
            if length < 49 or end > len(data):
                break  # the end of what was written; zeros, or a torn entry
            found.append((offset, data[place:end]))
            place = end
    return found


def compare(nodes):
    """What differs between copies that have come to rest, in words, and how many bytes were found equal.

    Everything had been committed and all replicas were in time when the nodes stopped, so copies of a topic's partition
    end at the same offset. Those of the metadata may not: nodes that stop are noted there.
    """
    folders = defaultdict(list)
    for node in nodes:
        for path in {os.path.dirname(path) for path in glob.glob(f"{node.data}/**/*.log", recursive=True)}:
            folders[os.path.relpath(path, node.data)].append((node, path))
    complaints, equal = [], 0
    for name, copies in sorted(folders.items()):
        logs = [(node, entries(folder)) for node, folder in copies]
        start = max((log[0][0] for _, log in logs if log), default=0)  # one may have been shortened behind a snapshot
        logs = [(node, [entry for entry in log if entry[0] >= start]) for node, log in logs]
        first_node, first = max(logs, key=lambda each: len(each[1]))
        for node, log in logs:
            shared = min(len(first), len(log))
            place = next((place for place in range(shared) if first[place] != log[place]), shared)
            equal += sum(len(data) for _, data in log[:place])
            if place < shared:
                complaints.append(f"{name}: {first_node} and {node} differ from offset {log[place][0]} on")
            elif name.startswith("topics/") and end_of(log) != end_of(first):
                complaints.append(f"{name}: {node} ends at {end_of(log)}, {first_node} at {end_of(first)}")
    return complaints, equal


def end_of(log):
    """The offset behind the last entry that takes one."""
    if not log:
        return 0
    offset, data = log[-1]
    attributes, last_delta = struct.unpack_from(">hi", data, 21)
    return offset if attributes & 0x4000 else offset + last_delta + 1


def varint(data, place):
    shift = value = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), place


def values(data):
    """The values, as load.py writes them, in one batch that is not compressed."""
    place, found = 61, []
    for _ in range(struct.unpack_from(">i", data, 57)[0]):
        length, start = varint(data, place)
        place = start + length
        _, inner = varint(data, start + 1)  # behind the attributes: the time
        _, inner = varint(data, inner)  # the offset
        key, inner = varint(data, inner)
        size, inner = varint(data, inner + max(0, key))
        digits = data[inner:inner + max(0, size)].split(b":", 1)[0]
        if digits.isdigit():
            found.append(int(digits))
    return found


def producers(nodes, topic):
    """Holds each log against its producers' promises: within an epoch sequence numbers go on by one, and an epoch
    begins with 0. Returns what is wrong, in words, and the values that their producer itself sent again in another
    epoch.

    `topic`: the id of the topic whose values load.py has written, as its folders have it.
    """
    complaints, resent, logs = [], set(), {}
    for node in nodes:
        for path in glob.glob(f"{node.data}/topics/**/*.log", recursive=True):
            logs.setdefault(os.path.relpath(os.path.dirname(path), node.data), os.path.dirname(path))
    for name, folder in sorted(logs.items()):
        latest, places = {}, defaultdict(set)
        for offset, data in entries(folder):
            attributes, last_delta = struct.unpack_from(">hi", data, 21)
            producer, epoch, sequence = struct.unpack_from(">qhi", data, 43)
            if attributes & 0x4000:
                continue
            if producer >= 0:
                known = latest.get(producer)
                expected = known[1] if known is not None and known[0] == epoch else 0
                if known is not None and epoch < known[0]:
                    complaints.append(f"{name}: producer {producer} is back in epoch {epoch} at offset {offset}")
                elif sequence != expected:
                    complaints.append(f"{name}: producer {producer}, epoch {epoch}, has sequence {sequence} at offset "
                                      f"{offset}, not {expected}")
                latest[producer] = (epoch, (sequence + last_delta + 1) % 2**31)
            if topic in name and attributes & 7 == 0:
                for value in values(data):
                    places[value].add((producer, epoch))
        resent |= {value for value, where in places.items() if len(where) > 1}
    return complaints, sorted(resent)
