# SPDX-License-Identifier: Apache-2.0
"""A steady acks=all load that goes on through failures and remembers what it was promised.

load.py --bootstrap LIST --topic NAME --partitions N --history PATH [--rate PER_SECOND] [--size BYTES]

Runs until its standard input is closed, then waits for what is under way. Nothing is ever sent twice (retries=0), so
every value may be in the log at most once. The history has one line a record, tab-separated, in order of outcome:

    ok|unknown  partition  sequence  offset or -1  floor  sent (ms)  outcome (ms)  error

`floor` is the highest offset acknowledged in that partition when the record was handed over: an acknowledged record
must lie above it. Values are `partition:sequence:` and filling. Every 100 ms a line on standard output tells
`acked <all> failed <all> partitions <acked in each>`; the last line is `done …` with the longest time between two
acknowledgements.
"""
import argparse
import random
import sys
import threading
import time

from confluent_kafka import Producer


class Load:
    def __init__(self, args):
        self.args = args
        self.history = open(args.history, "w", encoding="ascii")
        self.acked = [0] * args.partitions
        self.failed = 0
        self.pending = 0
        self.floors = [-1] * args.partitions
        self.sequences = [0] * args.partitions
        self.last_ack = None
        self.longest_gap = 0.0
        self.started = time.monotonic()
        self.filling = random.Random(1).randbytes(args.size).hex().encode()[:args.size]
        self.producer = Producer({
            "bootstrap.servers": args.bootstrap,
            "log_level": 2,  # what matters is in the history
            "acks": "all",
            "enable.idempotence": False,
            "retries": 0,
            "linger.ms": 2,
            "message.timeout.ms": 8000,
            "request.timeout.ms": 5000,
            "socket.timeout.ms": 6000,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 200,
            "topic.metadata.refresh.interval.ms": 1000,
            "topic.metadata.refresh.fast.interval.ms": 20,
        })

    def now(self):
        return time.monotonic() - self.started

    def send(self, partition):
        sequence, floor, sent = self.sequences[partition], self.floors[partition], self.now()
        self.sequences[partition] += 1
        value = b"%d:%d:" % (partition, sequence) + self.filling

        def outcome(error, message):
            self.pending -= 1
            self.settle(partition, sequence, floor, sent, error, -1 if error else message.offset())

        self.pending += 1
        try:
            self.producer.produce(self.args.topic, value=value, partition=partition, on_delivery=outcome)
        except BufferError as error:
            self.pending -= 1
            self.settle(partition, sequence, floor, sent, error, -1)

    def settle(self, partition, sequence, floor, sent, error, offset):
        now = self.now()
        if error:
            self.failed += 1
        else:
            if self.last_ack is not None:
                self.longest_gap = max(self.longest_gap, now - self.last_ack)
            self.last_ack = now
            self.acked[partition] += 1
            self.floors[partition] = max(self.floors[partition], offset)
        reason = str(error).replace("\t", " ").replace("\n", " ") if error else ""
        self.history.write(f"{'unknown' if error else 'ok'}\t{partition}\t{sequence}\t{offset}\t{floor}"
                           f"\t{sent * 1e3:.0f}\t{now * 1e3:.0f}\t{reason}\n")

    def progress(self, word):
        partitions = " ".join(map(str, self.acked))
        print(f"{word} {sum(self.acked)} failed {self.failed} partitions {partitions}", flush=True)

    def run(self, stop):
        sent, reported = 0, 0.0
        while not stop.is_set():
            due = int(self.now() * self.args.rate)
            # After a stall the backlog is dropped, not sent in one burst: the load stays a steady one.
            sent = max(sent, due - self.args.rate // 5)
            # What is under way is bounded, so that an outage does not fill the producer's queue.
            while sent < due and self.pending < 2000:
                self.send(sent % self.args.partitions)
                sent += 1
            sent = max(sent, due) if self.pending >= 2000 else sent
            self.producer.poll(0.002)
            if self.now() - reported >= 0.1:
                reported = self.now()
                self.progress("acked")
        self.producer.flush(20)
        self.history.close()
        self.progress("acked")
        print(f"done longest_gap_ms {self.longest_gap * 1e3:.0f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ["bootstrap", "topic", "history"]:
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--size", type=int, default=256)
    stopped = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    Load(parser.parse_args()).run(stopped)
