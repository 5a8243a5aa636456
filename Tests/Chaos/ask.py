# SPDX-License-Identifier: Apache-2.0
"""Asks every node, whether it leads or not, for ends of partitions, for records and for a group's offsets.

ask.py --name NAME --bootstrap LIST --topic NAME --partitions N --history PATH --group NAME [--rate N]

Clients follow the metadata to the new leader and so seldom meet the old one. This one keeps a connection to each node
and goes on asking, without waiting for answers: what a node is asked while it is paused or cut off, it answers when it
is back, and then it must know what has happened meanwhile. It speaks the protocol itself, in old versions (ListOffsets
1, Fetch 4, OffsetFetch 1), which only leaders and coordinators answer. Runs until its standard input is closed.
"""
import argparse
import socket
import struct
import threading
import time

from load import History, until_told

LIST_OFFSETS, FETCH, OFFSET_FETCH = 2, 1, 9


def text(word):
    return struct.pack(">h", len(word)) + word.encode()


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


class Answer:
    """Reads an answer front to back."""

    def __init__(self, data):
        self.data, self.place = data, 0

    def take(self, form):
        found = struct.unpack_from(">" + form, self.data, self.place)
        self.place += struct.calcsize(">" + form)
        return found if len(found) > 1 else found[0]

    def skip_text(self):
        length = self.take("h")
        self.place += max(0, length)

    def skip_bytes(self):
        """How many there were."""
        length = max(0, self.take("i"))
        self.place += length
        return length


class Known:
    """The greatest end that any node has shown of each partition, to fetch from there."""

    def __init__(self):
        self.ends, self.lock = {}, threading.Lock()

    def raise_to(self, partition, end):
        with self.lock:
            self.ends[partition] = max(end, self.ends.get(partition, 0))

    def get(self, partition):
        with self.lock:
            return self.ends.get(partition, 0)


class Asker:
    def __init__(self, args, address, known, told):
        self.args, self.address, self.known, self.told = args, address, known, told
        self.history = History(args.history, f"{args.name}.{address.split(':')[0].rsplit('.', 1)[1]}")
        self.number = 0

    def run(self):
        while not self.told.is_set():
            try:
                host, port = self.address.rsplit(":", 1)
                with socket.create_connection((host, int(port)), timeout=2) as connection:
                    connection.settimeout(0.5)
                    self.converse(connection)
            except OSError:
                self.told.wait(0.2)

    def converse(self, connection):
        """Sends at its rate and takes answers as they come, until the connection breaks or is silent for long."""
        waiting, buffer = {}, b""
        due = heard = time.monotonic()
        connection.settimeout(0.02)
        while not self.told.is_set():
            now = time.monotonic()
            if now >= due:
                due = now + 1 / self.args.rate
                for key, body in self.questions():
                    self.number += 1
                    head = struct.pack(">hhi", key, {LIST_OFFSETS: 1, FETCH: 4, OFFSET_FETCH: 1}[key], self.number)
                    frame = head + text("ask") + body
                    waiting[self.number] = (key, time.monotonic_ns())
                    connection.sendall(struct.pack(">i", len(frame)) + frame)
            try:
                more = connection.recv(1 << 16)
                if not more:
                    raise ConnectionResetError
                buffer, heard = buffer + more, now
            except TimeoutError:
                if waiting and now - heard > 45:
                    raise
            while len(buffer) >= 4 and len(buffer) >= 4 + (size := struct.unpack_from(">i", buffer)[0]):
                answer, buffer = Answer(buffer[4:4 + size]), buffer[4 + size:]
                key, began = waiting.pop(answer.take("i"))
                take = {LIST_OFFSETS: self.take_ends, FETCH: self.take_fetch, OFFSET_FETCH: self.take_group}[key]
                take(answer, began)

    def questions(self):
        topic, every = self.args.topic, range(self.args.partitions)
        yield LIST_OFFSETS, struct.pack(">i", -1) + array([
            text(topic) + array([struct.pack(">iq", partition, -1) for partition in every])])
        yield FETCH, struct.pack(">iiiib", -1, 0, 0, 1 << 16, 0) + array([
            text(topic) + array([struct.pack(">iqi", partition, self.known.get(partition), 1) for partition in every])])
        yield OFFSET_FETCH, text(self.args.group) + array([
            text(topic) + array([struct.pack(">i", partition) for partition in every])])

    def log(self, partition):
        return f"{self.args.topic}-{partition}"

    def take_ends(self, answer, began):
        for _ in range(answer.take("i")):
            answer.skip_text()
            for _ in range(answer.take("i")):
                partition, error, _, offset = answer.take("ihqq")
                if error == 0:
                    self.history.whole("list-end", began, log=self.log(partition), offset=offset)

    def take_fetch(self, answer, began):
        answer.take("i")
        read, size = [], 0
        for _ in range(answer.take("i")):
            answer.skip_text()
            for _ in range(answer.take("i")):
                partition, error, watermark, _ = answer.take("ihqq")
                for _ in range(answer.take("i")):  # aborted transactions; -1 for none
                    answer.take("qq")
                size += answer.skip_bytes()
                if error == 0 and watermark >= 0:  # -1: a new leader that does not know yet
                    read.append({"log": self.log(partition), "records": [], "end": watermark})
                    self.known.raise_to(partition, watermark)
        # Beside records, a leader says what it knew last; that there is nothing more it says once it is certain.
        if read and size == 0:
            self.history.whole("poll", began, read=read)

    def take_group(self, answer, began):
        for _ in range(answer.take("i")):
            answer.skip_text()
            for _ in range(answer.take("i")):
                partition, offset = answer.take("iq")
                answer.skip_text()
                if answer.take("h") == 0:
                    shown = {"offset": offset} if offset >= 0 else {}
                    self.history.whole("fetch-offsets", began, group=self.args.group, log=self.log(partition), **shown)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--client", type=int, default=0)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--history", required=True)
    parser.add_argument("--group", default="chaos")
    parser.add_argument("--rate", type=float, default=5)
    args = parser.parse_args()
    args.once = False
    told, known = until_told(args), Known()
    threads = [threading.Thread(target=Asker(args, address, known, told).run) for address in args.bootstrap.split(",")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
