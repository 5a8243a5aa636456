# SPDX-License-Identifier: Apache-2.0
"""kafka-python, written without librdkafka: the lines of a file to partition 0 of a topic, or partition 0 to a file.

kafka_python_client.py produce|consume --bootstrap LIST --topic NAME --file PATH [--codec NAME]
"""
import argparse
import sys
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition


def produce(args):
    producer = KafkaProducer(
        bootstrap_servers=args.bootstrap.split(","),
        acks="all",
        enable_idempotence=False,
        max_in_flight_requests_per_connection=1,  # a batch sent again must not come after its successor
        compression_type=None if args.codec == "none" else args.codec,
        linger_ms=20,
    )
    with open(args.file, "rb") as file:
        pending = [producer.send(args.topic, value=line.rstrip(b"\n"), partition=0) for line in file]
    producer.flush(timeout=60)
    for future in pending:
        future.get(timeout=60)
    producer.close()


def consume(args):
    consumer = KafkaConsumer(
        bootstrap_servers=args.bootstrap.split(","),
        group_id=None,
        enable_auto_commit=False,
        check_crcs=True,
    )
    partition = TopicPartition(args.topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    deadline = time.monotonic() + 60
    with open(args.file, "wb") as file:
        while consumer.position(partition) < end:
            if time.monotonic() > deadline:
                sys.exit(f"offset {end} was not reached within 60 s, only {consumer.position(partition)}")
            for records in consumer.poll(timeout_ms=500).values():
                for record in records:
                    file.write(record.value + b"\n")
    consumer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["produce", "consume"])
    for name in ["bootstrap", "topic", "file"]:
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--codec", default="none")
    arguments = parser.parse_args()
    {"produce": produce, "consume": consume}[arguments.action](arguments)
