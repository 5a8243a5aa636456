# SPDX-License-Identifier: Apache-2.0
"""One consumer whose fetches may wait 20 s, and records that come one at a time while it waits.

long_poll.py --bootstrap LIST --topic NAME [--rounds N]

Prints how long the slowest record took from the call that sent it to the consumer, and how many fetches there were.
"""
import argparse
import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition


def main(args):
    fetches = {}

    def statistics(text):
        for name, broker in json.loads(text)["brokers"].items():
            fetches[name] = broker["req"].get("Fetch", 0)

    consumer = Consumer({
        "bootstrap.servers": args.bootstrap,
        "log_level": 2,
        "group.id": "unused",
        "enable.auto.commit": False,
        "fetch.wait.max.ms": 20_000,
        "socket.timeout.ms": 60_000,
        "fetch.min.bytes": 1,
        "statistics.interval.ms": 100,
        "stats_cb": statistics,
    })
    consumer.assign([TopicPartition(args.topic, 0, OFFSET_BEGINNING)])
    producer = Producer({"bootstrap.servers": args.bootstrap, "log_level": 2, "acks": "all", "linger.ms": 0})

    def round_trip(number):
        sent = time.monotonic()
        producer.produce(args.topic, value=b"%d" % number, partition=0)
        if producer.flush(10):
            sys.exit("a record was not acknowledged within 10 s")
        while True:
            message = consumer.poll(1.0)
            if message is not None and message.error() is None:
                if message.value() != b"%d" % number:
                    sys.exit(f"{message.value()} came instead of {number}")
                return time.monotonic() - sent
            if time.monotonic() - sent > 30:
                sys.exit(f"record {number} did not come within 30 s")

    round_trip(0)  # connections are made, the first fetch is on its way
    consumer.poll(0.3)
    before = sum(fetches.values())
    slowest = 0.0
    for number in range(1, args.rounds + 1):
        consumer.poll(0.05)  # the fetch is waiting again
        slowest = max(slowest, round_trip(number))
    consumer.poll(0.3)
    print(json.dumps({
        "rounds": args.rounds, "slowestMilliseconds": slowest * 1e3, "fetches": sum(fetches.values()) - before,
    }))
    consumer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ["bootstrap", "topic"]:
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--rounds", type=int, default=20)
    main(parser.parse_args())
