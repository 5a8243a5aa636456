# SPDX-License-Identifier: Apache-2.0
"""An idempotent librdkafka producer that numbers its records and remembers what became of each.

sequence_load.py --bootstrap LIST --topic NAME --producer NUMBER --history PATH [--rate PER_SECOND] [--set KEY=VALUE]…

Runs until its standard input is closed, then waits for what is under way. Values are `producer:sequence:` and filling.
Times are microseconds of the system's monotonic clock, which all processes of a machine share. The history has one
tab-separated line a record, in order of outcome, and one at the end:

    acked   time  producer  sequence  partition  offset
    failed  time  producer  sequence  error
    done    time  producer  records sent

Every 100 ms a line `acked N failed N` goes to standard output. SequenceProducer.java of Tests/Conformance does the same
with the Java client.
"""
import argparse
import sys
import threading
import time

from confluent_kafka import Producer

FILLING = b"godwit " * 20


def microseconds():
    return time.monotonic_ns() // 1000


class Load:
    def __init__(self, args):
        self.args = args
        self.history = open(args.history, "w", encoding="utf-8")
        self.acked = self.failed = self.pending = 0
        self.producer = Producer({
            "bootstrap.servers": args.bootstrap,
            "log_level": 2,  # what matters is in the history
            "enable.idempotence": True,
            **dict(word.split("=", 1) for word in args.set),
        })

    def send(self, sequence):
        name = self.args.producer

        def outcome(error, message):
            self.pending -= 1
            if error:
                self.failed += 1
                self.write("failed", name, sequence, str(error).replace("\t", " ").replace("\n", " "))
            else:
                self.acked += 1
                self.write("acked", name, sequence, message.partition(), message.offset())

        self.pending += 1
        self.producer.produce(self.args.topic, value=b"%d:%d:" % (name, sequence) + FILLING, on_delivery=outcome)

    def write(self, word, *fields):
        self.history.write("\t".join(map(str, (word, microseconds(), *fields))) + "\n")

    def run(self, stop):
        start, sent, reported = time.monotonic(), 0, 0.0
        while not stop.is_set():
            due = int((time.monotonic() - start) * self.args.rate)
            # What is under way is bounded: an outage must not fill the producer's queue.
            while sent < due and self.pending < 20_000:
                self.send(sent)
                sent += 1
            self.producer.poll(0.002)
            if time.monotonic() - reported >= 0.1:
                reported = time.monotonic()
                print(f"acked {self.acked} failed {self.failed}", flush=True)
        left = self.producer.flush(60)
        self.write("done", self.args.producer, sent)
        self.history.close()
        print(f"acked {self.acked} failed {self.failed}", flush=True)
        if left:
            sys.exit(f"{left} records have no outcome")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for option in ["bootstrap", "topic", "history"]:
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--producer", type=int, required=True)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--set", action="append", default=[])
    stopped = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    Load(parser.parse_args()).run(stopped)
