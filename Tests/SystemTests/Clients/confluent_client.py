# SPDX-License-Identifier: Apache-2.0
"""librdkafka through confluent-kafka: the lines of a file to partition 0 of a topic, or partition 0 to a file.

confluent_client.py produce|consume --bootstrap LIST --topic NAME --file PATH [--codec NAME] [--batch-bytes N]
"""
import argparse
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition


def produce(args):
    failures = []
    producer = Producer({
        "bootstrap.servers": args.bootstrap,
        "log_level": 2,
        "acks": "all",
        "enable.idempotence": False,
        "max.in.flight": 1,  # a batch sent again must not come after its successor
        "compression.type": args.codec,
        "linger.ms": 20,
        "batch.size": args.batch_bytes,
    })

    def done(error, _message):
        if error is not None:
            failures.append(str(error))

    with open(args.file, "rb") as file:
        for line in file:
            value = line.rstrip(b"\n")
            while True:
                try:
                    producer.produce(args.topic, value=value, partition=0, on_delivery=done)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
    unsent = producer.flush(60)
    if unsent or failures:
        sys.exit(f"{unsent} records unsent, {len(failures)} refused: {failures[:3]}")


def consume(args):
    consumer = Consumer({
        "bootstrap.servers": args.bootstrap,
        "log_level": 2,
        "group.id": "unused",  # asked for by the library; assign() needs no coordinator
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "check.crcs": True,
    })
    consumer.assign([TopicPartition(args.topic, 0, OFFSET_BEGINNING)])
    deadline = time.monotonic() + 60
    with open(args.file, "wb") as file:
        while time.monotonic() < deadline:
            message = consumer.poll(1.0)
            if message is None:
                continue
            if message.error() is None:
                file.write(message.value() + b"\n")
            elif message.error().code() == KafkaError._PARTITION_EOF:
                consumer.close()
                return
            elif not message.error().retriable():
                sys.exit(f"cannot read: {message.error()}")
    sys.exit("the end of the partition did not come within 60 s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["produce", "consume"])
    for name in ["bootstrap", "topic", "file"]:
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--codec", default="none")
    parser.add_argument("--batch-bytes", type=int, default=1_000_000)
    arguments = parser.parse_args()
    {"produce": produce, "consume": consume}[arguments.action](arguments)
