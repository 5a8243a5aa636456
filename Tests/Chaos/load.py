# SPDX-License-Identifier: Apache-2.0
"""One client of a chaos run, by librdkafka. It writes a history of JSON lines (Sources/Histories/HistoryEvent.swift).

load.py produce --client N --bootstrap LIST --topic NAME --partitions N --history PATH [--rate N] [--acks all|1]
                [--idempotent]
load.py consume …   reads every partition from its start, for ever
load.py group …     a member of the group --group, which commits as it goes
load.py look …      asks for the ends and starts of the partitions and for the offsets of --group, again and again
load.py scan …      reads every partition from its start to its end, once

All but `scan` run until their standard input is closed. A value is unique: the client's number and a count. The record
says it in digits, and then come bytes that follow from it, so that a reader knows a damaged one.
"""
import argparse
import json
import os
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

FILLING = bytes(33 + (7 * index) % 90 for index in range(1024))
# The cluster has said that it did not write, and the client will not try again.
DEFINITE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.INVALID_TIMESTAMP, KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT}
IMPATIENT = {
    "log_level": 2,  # what matters is in the history
    "socket.timeout.ms": 6000, "socket.connection.setup.timeout.ms": 2000,
    "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 500,
    "retry.backoff.ms": 20, "retry.backoff.max.ms": 500, "topic.metadata.refresh.interval.ms": 5000,
}


def payload(value):
    return b"%d:" % value + FILLING[value % 256:value % 256 + 16 + value % 400]


def value_of(data):
    digits = (data or b"").split(b":", 1)[0]
    if not digits.isdigit() or len(digits) > 18:
        return -1
    value = int(digits)
    return value if payload(value) == data else -1


class History:
    """Lines go to the file at once: a client may be killed, and what it had begun must be known."""

    def __init__(self, path, client):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.client, self.count, self.lock = client, 0, threading.Lock()

    def number(self):
        with self.lock:
            self.count += 1
            return self.count

    def write(self, phase, op, **fields):
        line = {"at": time.monotonic_ns(), "client": self.client, "op": op, "phase": phase, **fields}
        os.write(self.file, (json.dumps(line, separators=(",", ":")) + "\n").encode())

    def invoke(self, action, **fields):
        op = self.number()
        self.write("invoke", op, action=action, **fields)
        return op

    def whole(self, action, began, phase="ok", **fields):
        self.write(phase, self.number(), action=action, began=began, **fields)


def debugging(args):
    """--debug: what librdkafka says of itself goes to the client's .out file."""
    return {"debug": args.debug, "log_level": 7} if args.debug else {}


def name_of(error):
    return error.name() if hasattr(error, "name") else str(error)


def code_of(exception):
    return exception.args[0] if exception.args and isinstance(exception.args[0], KafkaError) else None


def until_told(args):
    """An event that is set once standard input is closed."""
    told = threading.Event()

    def wait():
        while sys.stdin.buffer.read(4096):
            pass
        told.set()

    if not args.once:
        threading.Thread(target=wait, daemon=True).start()
    return told


class ProducerLoad:
    def __init__(self, args):
        self.args, self.incarnation = args, 0
        self.told = until_told(args)
        self.begin()

    def begin(self):
        args = self.args
        self.incarnation += 1
        self.history = History(args.history, f"{args.name}.{self.incarnation}")
        self.count = (args.client << 44) + (self.incarnation << 32)
        self.has_ended = False
        self.pending = 0
        acks = "all" if args.acks == "all" else "leader"
        self.history.whole("open", time.monotonic_ns(), acks=acks, idempotent=args.idempotent, ordered=args.idempotent)
        self.producer = Producer({
            **IMPATIENT, "bootstrap.servers": args.bootstrap, "enable.idempotence": args.idempotent, "acks": args.acks,
            "linger.ms": 2, "message.timeout.ms": args.patience, "request.timeout.ms": 2000,
            "retries": 1000000,
            # Without idempotence several requests under way change places when one is sent again.
            "max.in.flight.requests.per.connection": 5 if args.idempotent else 1,
            "error_cb": self.on_error, **debugging(args)})

    def on_error(self, error):
        if error.fatal():
            self.has_ended = True

    def send(self, partition):
        history, value = self.history, self.count
        self.count += 1
        log = f"{self.args.topic}-{partition}"
        op = history.invoke("send", log=log, value=value)
        self.pending += 1

        def outcome(error, message):
            self.pending -= 1
            if error is None:
                history.write("ok", op, offset=message.offset())
            else:
                phase = "fail" if error.code() in DEFINITE else "info"
                history.write(phase, op, error=name_of(error))

        try:
            self.producer.produce(self.args.topic, value=payload(value), partition=partition, on_delivery=outcome)
        except BufferError:
            self.pending -= 1
            history.write("fail", op, error="QUEUE_FULL")
        except KafkaException as exception:
            self.pending -= 1
            history.write("fail", op, error=name_of(code_of(exception)))
            self.has_ended = True

    def run(self):
        pause, turn = 1 / self.args.rate, 0
        due = time.monotonic()
        while not self.told.is_set():
            if self.has_ended:  # a fatal error; a new producer goes on
                self.producer.flush(10)
                self.begin()
            self.send(turn % self.args.partitions)
            turn += 1
            due = max(due + pause, time.monotonic() - 1)
            while (rest := due - time.monotonic()) > 0:
                self.producer.poll(min(rest, 0.05))
            self.producer.poll(0)
        deadline = time.monotonic() + self.args.patience / 1000 + 20
        while self.pending and time.monotonic() < deadline:
            self.producer.flush(1)


def records_of(messages, history, topic):
    read, errors = {}, []
    for message in messages:
        if message.error() is not None:
            errors.append(message.error())
            continue
        read.setdefault(message.partition(), []).extend((message.offset(), value_of(message.value())))
    return [{"log": f"{topic}-{partition}", "records": pairs} for partition, pairs in read.items()], errors


def reader(args, history, **settings):
    return Consumer({
        **IMPATIENT, "bootstrap.servers": args.bootstrap, "group.id": args.group, "enable.auto.commit": False,
        "auto.offset.reset": "error", "fetch.wait.max.ms": 200, "fetch.error.backoff.ms": 50,
        "enable.partition.eof": False, "check.crcs": True, **settings})


def consume(args):
    told, history = until_told(args), History(args.history, args.name)
    consumer = reader(args, history)
    places = [TopicPartition(args.topic, partition, 0) for partition in range(args.partitions)]
    history.whole("assign", time.monotonic_ns())
    consumer.assign(places)
    while not told.is_set():
        began = time.monotonic_ns()
        messages = consumer.consume(500, 0.2)
        read, errors = records_of(messages, history, args.topic)
        if read:
            history.whole("poll", began, read=read)
        for error in errors:
            history.whole("poll", began, "info", error=name_of(error))
            if error.code() == KafkaError._AUTO_OFFSET_RESET:
                # The log ends before what this consumer has read. It waits there: the final scan says what is lost.
                time.sleep(0.2)
                consumer.assign(consumer.position(places))
    consumer.close()


class Member:
    def __init__(self, args):
        self.args, self.told = args, until_told(args)
        self.history = History(args.history, args.name)
        self.positions = {}
        self.since = 0  # when the last rebalance was over: a poll that it interrupted counts from then
        self.consumer = reader(args, self.history, **{
            "auto.offset.reset": "earliest", "session.timeout.ms": 6000, "heartbeat.interval.ms": 500,
            "max.poll.interval.ms": 60000, "partition.assignment.strategy": "cooperative-sticky"})

    def logs(self, places):
        return [f"{place.topic}-{place.partition}" for place in places]

    def on_assign(self, _, places):
        self.history.whole("assign", time.monotonic_ns(), logs=self.logs(places))
        self.consumer.incremental_assign(places)
        self.since = time.monotonic_ns()

    def on_revoke(self, _, places):
        self.commit()
        self.on_lost(_, places)
        self.consumer.incremental_unassign(places)

    def on_lost(self, _, places):
        for place in places:
            self.positions.pop(place.partition, None)
        self.history.whole("assign", time.monotonic_ns(), logs=self.logs(places))
        self.since = time.monotonic_ns()

    def commit(self):
        if not self.positions:
            return
        wanted = [TopicPartition(self.args.topic, partition, offset) for partition, offset in self.positions.items()]
        history, group = self.history, self.args.group
        ops = {place.partition: history.invoke("commit", group=group, log=log, offset=place.offset)
               for place, log in zip(wanted, self.logs(wanted))}
        try:
            done = {place.partition: place.error for place in self.consumer.commit(offsets=wanted, asynchronous=False)}
        except KafkaException as exception:
            done = dict.fromkeys(ops, code_of(exception))
        for partition, op in ops.items():
            error = done.get(partition)
            if error is None:
                history.write("ok", op)
            else:
                # Even a refusal: it may be that of a second attempt, after a first whose answer was lost.
                history.write("info", op, error=name_of(error))
        self.positions = {}

    def run(self):
        self.consumer.subscribe([self.args.topic], on_assign=self.on_assign, on_revoke=self.on_revoke,
                                on_lost=self.on_lost)
        due = time.monotonic() + 1
        while not self.told.is_set():
            began = time.monotonic_ns()
            messages = self.consumer.consume(200, 0.2)
            read, errors = records_of(messages, self.history, self.args.topic)
            began = max(began, self.since)
            if read:
                self.history.whole("poll", began, read=read)
            for each in read:
                self.positions[int(each["log"].rsplit("-", 1)[1])] = each["records"][-2] + 1
            for error in errors:
                self.history.whole("poll", began, "info", error=name_of(error))
            if time.monotonic() >= due:
                self.commit()
                due = time.monotonic() + 1
        self.commit()
        self.consumer.close()


def look(args):
    """Each answer is one that was asked for after the operation began, whatever is tried again in between."""
    told, history = until_told(args), History(args.history, args.name)
    consumer = reader(args, history)
    turn = 0
    while not told.is_set():
        place = TopicPartition(args.topic, turn % args.partitions)
        log, turn = f"{args.topic}-{turn % args.partitions}", turn + 1
        began = time.monotonic_ns()
        try:
            start, end = consumer.get_watermark_offsets(place, timeout=3, cached=False)
            history.whole("list-end", began, log=log, offset=end)
            history.whole("list-start", began, log=log, offset=start)
        except KafkaException as exception:
            history.whole("list-end", began, "info", log=log, error=name_of(code_of(exception)))
        if turn % args.partitions == 0:
            places = [TopicPartition(args.topic, partition) for partition in range(args.partitions)]
            began = time.monotonic_ns()
            try:
                for found in consumer.committed(places, timeout=3):
                    log = f"{args.topic}-{found.partition}"
                    if found.error is None:
                        offset = {"offset": found.offset} if found.offset >= 0 else {}
                        history.whole("fetch-offsets", began, group=args.group, log=log, **offset)
            except KafkaException as exception:
                error = name_of(code_of(exception))
                history.whole("fetch-offsets", began, "info", group=args.group, log=log, error=error)
        told.wait(1 / args.rate)
    consumer.close()


def scan(args):
    history = History(args.history, args.name)
    history.whole("open", time.monotonic_ns(), scan=True)
    consumer = reader(args, history, **{"enable.partition.eof": True, "auto.offset.reset": "earliest"})
    waiting = set(range(args.partitions))
    history.whole("assign", time.monotonic_ns())
    consumer.assign([TopicPartition(args.topic, partition, 0) for partition in sorted(waiting)])
    deadline = time.monotonic() + args.patience / 1000
    while waiting and time.monotonic() < deadline:
        began = time.monotonic_ns()
        messages = consumer.consume(1000, 0.5)
        read, errors = records_of(messages, history, args.topic)
        for each in read:
            waiting.add(int(each["log"].rsplit("-", 1)[1]))
        if read:
            history.whole("poll", began, read=read)
        for message in messages:
            if message.error() is not None and message.error().code() == KafkaError._PARTITION_EOF:
                waiting.discard(message.partition())
        for error in errors:
            if error.code() != KafkaError._PARTITION_EOF:
                history.whole("poll", began, "info", error=name_of(error))
    consumer.close()
    if waiting:
        sys.exit(f"partitions {sorted(waiting)} could not be read to their end in time")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["produce", "consume", "group", "look", "scan"])
    parser.add_argument("--name", required=True)
    parser.add_argument("--client", type=int, default=0)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--history", required=True)
    parser.add_argument("--group", default="chaos")
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--acks", default="all")
    parser.add_argument("--idempotent", action="store_true")
    parser.add_argument("--debug", default=os.environ.get("CHAOS_CLIENT_DEBUG", ""), help="contexts of librdkafka")
    parser.add_argument("--patience", type=int, default=60000, help="milliseconds")
    args = parser.parse_args()
    args.once = args.role == "scan"
    if args.role == "produce":
        ProducerLoad(args).run()
    elif args.role == "group":
        Member(args).run()
    else:
        {"consume": consume, "look": look, "scan": scan}[args.role](args)


if __name__ == "__main__":
    main()
