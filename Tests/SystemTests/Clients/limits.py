# SPDX-License-Identifier: Apache-2.0
"""What a broker answers to a produce that a topic's own limits forbid.

limits.py expect --bootstrap LIST --topic NAME --code N    produces until the answer is error N, for up to 20 s
limits.py too-large --bootstrap LIST --topic NAME          the topic's max.message.bytes is 10,000
"""
import argparse
import os
import sys
import time

from confluent_kafka import KafkaError, Producer


def answer(args, value):
    """The error code that one produce with acks=all is answered with; 0 is none."""
    codes = []
    producer = Producer({
        "bootstrap.servers": args.bootstrap,
        "log_level": 2,
        "acks": "all",
        "retries": 0,
        "linger.ms": 0,
        "message.timeout.ms": 5000,
    })
    producer.produce(args.topic, value=value, partition=0,
                     on_delivery=lambda error, _: codes.append(error.code() if error else 0))
    producer.flush(10)
    return codes[0] if codes else None


def expect(args):
    seen = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        seen.append(answer(args, b"x"))
        if seen[-1] == args.code:
            return
    sys.exit(f"error {args.code} was expected, these came: {sorted(set(map(str, seen)))}")


def too_large(args):
    incompressible = os.urandom(20_000)
    for value, wanted in [(b"small", 0), (incompressible, KafkaError.MSG_SIZE_TOO_LARGE), (b"small again", 0)]:
        code = answer(args, value)
        if code != wanted:
            sys.exit(f"{len(value)} bytes were answered with {code}, not {wanted}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["expect", "too-large"])
    for name in ["bootstrap", "topic"]:
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--code", type=int, default=0)
    arguments = parser.parse_args()
    {"expect": expect, "too-large": too_large}[arguments.action](arguments)
