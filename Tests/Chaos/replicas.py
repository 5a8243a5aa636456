# SPDX-License-Identifier: Apache-2.0
"""Compares the segments of stopped nodes byte for byte, up to what was committed."""
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


def compare(nodes, committed):
    """What differs, in words, and how many bytes were found equal.

    `committed`: for each log ("topic-partition" as the folder says it) the offset below which nothing may differ; logs
    that are not in it are compared as far as all replicas have them.
    """
    folders = defaultdict(list)
    for node in nodes:
        for path in sorted(glob.glob(f"{node.data}/**/*.log", recursive=True)):
            folder = os.path.dirname(path)
            name = os.path.relpath(folder, node.data)
            if (node, folder) not in folders[name]:
                folders[name].append((node, folder))
    complaints, equal = [], 0
    for name, copies in sorted(folders.items()):
        logs = [(node, entries(folder)) for node, folder in copies]
        first_node, first = max(logs, key=lambda each: len(each[1]))
        for node, log in logs:
            shared = min(len(first), len(log))
            place = next((place for place in range(shared) if first[place] != log[place]), shared)
            equal += sum(len(data) for _, data in log[:place])
            if place < shared:
                complaints.append(f"{name}: {first_node} and {node} differ from offset {log[place][0]} on")
            end = committed.get(name)
            if end is not None and (not log or log[-1][0] < 0 or end_of(log) < end):
                complaints.append(f"{name}: {node} ends at {end_of(log)}, {end} was committed")
    return complaints, equal


def end_of(log):
    """The offset behind the last entry that takes one."""
    if not log:
        return 0
    offset, data = log[-1]
    attributes, last_delta = struct.unpack_from(">hi", data, 21)
    return offset if attributes & 0x4000 else offset + last_delta + 1
