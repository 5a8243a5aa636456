# SPDX-License-Identifier: Apache-2.0
"""One librdkafka consumer of a group that remembers what it read, committed and was given.

group_member.py --bootstrap LIST --topic NAME --group NAME --member NAME --history PATH [--protocol classic|consumer]
                [--instance ID] [--stay] [--set KEY=VALUE]…

Commits what it has read, synchronously, at least every 100 ms, and before it gives partitions back. Runs until its
standard input is closed, then commits, and leaves the group unless told to --stay (a static member then keeps its
place). The history (times as sequence_load.py has them):

    read      time   member  partition  offset  producer  sequence
    commit    began  ended   member  partition  offset  ok or the error
    position  began  ended   member  partition  committed offset at an assignment, −1 for none
    assigned | revoked | lost   time  member  partitions with commas

Every 100 ms a line `read N owned N changes N` goes to standard output, the partitions given so far counted last.
"""
import argparse
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from sequence_load import microseconds


class Member:
    def __init__(self, args):
        self.args = args
        self.history = open(args.history, "w", encoding="utf-8")
        self.owned, self.next, self.committed = set(), {}, {}
        self.count = self.changes = 0
        settings = {
            "bootstrap.servers": args.bootstrap,
            "log_level": 2,
            "group.id": args.group,
            "group.protocol": args.protocol,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            **dict(word.split("=", 1) for word in args.set),
        }
        if args.instance:
            settings["group.instance.id"] = args.instance
        self.consumer = Consumer(settings)
        self.consumer.subscribe([args.topic], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost)

    def write(self, word, *fields):
        self.history.write("\t".join(map(str, (word, *fields))) + "\n")

    def change(self, word, partitions):
        self.write(word, microseconds(), self.args.member, ",".join(str(each.partition) for each in partitions))

    def assigned(self, consumer, partitions):
        self.change("assigned", partitions)
        self.changes += len(partitions)
        self.owned |= {each.partition for each in partitions}
        if not partitions:
            return
        began = microseconds()
        try:
            known = consumer.committed([TopicPartition(self.args.topic, each.partition) for each in partitions], 10)
        except KafkaException:
            return  # the coordinator is on its way; the client asks again by itself
        for each in known:
            if each.error is None:
                self.write("position", began, microseconds(), self.args.member, each.partition, max(each.offset, -1))

    def revoked(self, _consumer, partitions):
        self.commit()
        self.change("revoked", partitions)
        self.drop(partitions)

    def lost(self, _consumer, partitions):
        self.change("lost", partitions)
        self.drop(partitions)

    def drop(self, partitions):
        for each in partitions:
            self.owned.discard(each.partition)
            self.next.pop(each.partition, None)
            self.committed.pop(each.partition, None)

    def commit(self):
        due = {partition: offset for partition, offset in self.next.items() if self.committed.get(partition) != offset}
        if not due:
            return
        began = microseconds()
        offsets = [TopicPartition(self.args.topic, partition, offset) for partition, offset in sorted(due.items())]
        try:
            answers = self.consumer.commit(offsets=offsets, asynchronous=False)
            outcomes = {each.partition: each.error for each in answers}
        except KafkaException as error:
            outcomes = dict.fromkeys(due, error.args[0])
        ended = microseconds()
        for partition, offset in sorted(due.items()):
            error = outcomes.get(partition)
            if error is None:
                self.committed[partition] = offset
            word = "ok" if error is None else str(error).replace("\t", " ").replace("\n", " ")
            self.write("commit", began, ended, self.args.member, partition, offset, word)

    def take(self, message):
        producer, sequence, _ = message.value().split(b":", 2)
        partition, offset = message.partition(), message.offset()
        self.write("read", microseconds(), self.args.member, partition, offset, int(producer), int(sequence))
        self.next[partition] = offset + 1
        self.count += 1

    def run(self, stop):
        told = done = 0.0
        while not stop.is_set():
            for message in self.consumer.consume(500, timeout=0.05):
                if message.error() is None:
                    self.take(message)
                elif message.error().fatal():
                    sys.exit(f"{self.args.member}: {message.error()}")
            now = time.monotonic()
            if now - done >= 0.1:
                done = now
                self.commit()
            if now - told >= 0.1:
                told = now
                print(f"read {self.count} owned {len(self.owned)} changes {self.changes}", flush=True)
        self.commit()
        if self.args.stay:
            # Static members keep their place when they go: librdkafka sends no LeaveGroup for them.
            self.consumer.close()
        else:
            self.consumer.unsubscribe()
            self.consumer.close()
        self.history.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for option in ["bootstrap", "topic", "group", "member", "history"]:
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--protocol", default="classic", choices=["classic", "consumer"])
    parser.add_argument("--instance")
    parser.add_argument("--stay", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    stopped = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    Member(parser.parse_args()).run(stopped)
