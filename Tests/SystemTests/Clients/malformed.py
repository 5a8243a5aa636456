# SPDX-License-Identifier: Apache-2.0
"""Sends seeded nonsense to a Kafka port and looks at nothing but whether the port still opens.

malformed.py --address HOST:PORT [--count 10000] [--seed 1]

Prints one JSON object with the number of frames sent and of connections opened, and how many connections the node
closed. Exit code 1 when the port refuses a connection.
"""
import argparse
import json
import random
import socket
import struct
import sys

APIS = [0, 1, 2, 3, 18, 19, 20, 23, 32, 37, 60]


def header(random_, key=None):
    """A sound request header, v1 or v2 as chance has it: the body that follows is what is wrong."""
    key = random_.choice(APIS) if key is None else key
    client = bytes(random_.randrange(97, 123) for _ in range(random_.randrange(0, 12)))
    head = struct.pack(">hhih", key, random_.randrange(0, 18), random_.getrandbits(31), len(client)) + client
    return head + (b"\0" if random_.random() < 0.5 else b"")


def framed(body):
    return struct.pack(">i", len(body)) + body


def random_body(random_):
    return framed(random_.randbytes(random_.randrange(0, 2000)))


def negative_length(random_):
    return struct.pack(">i", -random_.randrange(1, 1 << 31)) + random_.randbytes(64)


def oversized(random_):
    return struct.pack(">i", random_.choice([0x7FFFFFFF, 0x474554 << 7, 1 << 30, 200 << 20])) + random_.randbytes(256)


def tiny(random_):
    return framed(random_.randbytes(random_.randrange(0, 8)))


def truncated(random_):
    whole = framed(header(random_) + random_.randbytes(random_.randrange(20, 400)))
    return whole[:random_.randrange(1, len(whole))]


def bad_body(random_):
    return framed(header(random_) + random_.randbytes(random_.randrange(0, 600)))


def huge_count(random_):
    """A sound header, then array and string lengths that promise far more than the frame holds."""
    count = random_.choice([0x7FFFFFFF, -2, -1 << 31, 1 << 28])
    compact = b"\xff\xff\xff\xff" + bytes([random_.randrange(0, 16)])
    return framed(header(random_) + random_.choice([struct.pack(">i", count), compact]) + random_.randbytes(40))


def overlong_varint(random_):
    return framed(header(random_, 3) + b"\x80" * random_.randrange(5, 200) + random_.randbytes(8))


def bad_batch(random_):
    """A produce request whose record batch lies about its length, magic, counts or checksum."""
    fields = (0, 49 + 20, 0, 2, random_.getrandbits(32), 0, 0, 0, 0, -1, -1, -1, 1)
    batch = bytearray(struct.pack(">qiibIhiqqqhii", *fields) + random_.randbytes(20))
    batch[random_.randrange(0, len(batch))] ^= 1 << random_.randrange(0, 8)
    topic = b"victim"
    body = struct.pack(">hhi", -1, random_.choice([-1, 0, 1, 7]), 1000) + struct.pack(">ih", 1, len(topic)) + topic
    body += struct.pack(">iii", 1, 0, len(batch)) + bytes(batch)
    head = struct.pack(">hhih", 0, random_.randrange(3, 9), random_.getrandbits(31), -1)
    return framed(head + body)


def another_protocol(random_):
    return random_.choice([b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                           b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 64, b"\xff" * 64])


def text(value):
    return struct.pack(">h", len(value)) + value


def sound_requests():
    """Requests that a node would answer, one of each kind that any client sends, without their lengths."""
    def head(key, version, flexible=False):
        return struct.pack(">hhi", key, version, 7) + text(b"sound") + (b"\0" if flexible else b"")

    topic = text(b"undisturbed")
    return [
        head(18, 3, True) + b"\x05name\x041.0\0",
        head(18, 0),
        head(3, 1) + struct.pack(">i", 1) + topic,
        head(3, 9, True) + b"\x02\x0cundisturbed\0" + b"\0\0\0\0",
        head(2, 1) + struct.pack(">ii", -1, 1) + topic + struct.pack(">iiq", 1, 0, -1),
        head(1, 4) + struct.pack(">iiiibi", -1, 10, 1, 1 << 20, 0, 1) + topic + struct.pack(">iiqi", 1, 0, 0, 1 << 20),
        head(32, 1) + struct.pack(">ib", 1, 2) + topic + struct.pack(">i?", -1, False),
        head(23, 2) + struct.pack(">i", 1) + topic + struct.pack(">iiii", 1, 0, 0, 0),
        head(60, 0, True) + b"\0\0",
    ]


def mutated(random_):
    """A sound request with a few bytes flipped, cut out, doubled or set to an extreme; its length is right."""
    body = bytearray(random_.choice(SOUND))
    for _ in range(random_.randrange(1, 5)):
        place = random_.randrange(0, len(body)) if body else 0
        way = random_.randrange(0, 5)
        if way == 0 and body:
            body[place] ^= 1 << random_.randrange(0, 8)
        elif way == 1:
            del body[place:place + random_.randrange(1, 8)]
        elif way == 2:
            body[place:place] = body[place:place + random_.randrange(1, 16)]
        elif way == 3:
            extreme = random_.choice([0x7F, 0x80, 0xFF, 0x00])
            body[place:place + 4] = bytes([extreme]) + random_.choice([b"\xff\xff\xff", b"\0\0\0"])
        else:
            body += random_.randbytes(random_.randrange(1, 20))
    return framed(bytes(body))


SOUND = sound_requests()
KINDS = [random_body, negative_length, oversized, tiny, truncated, bad_body, huge_count, overlong_varint, bad_batch,
         another_protocol, mutated, mutated, mutated]


def main(args):
    random_ = random.Random(args.seed)
    host, port = args.address.rsplit(":", 1)
    sent = opened = closed = 0
    held = []  # connections left open with half a frame in them: they must not cost the node memory
    connection = None
    while sent < args.count:
        if connection is None:
            try:
                connection = socket.create_connection((host, int(port)), timeout=10)
            except OSError as error:
                sys.exit(f"after {sent} frames the port refuses: {error}")
            opened += 1
            connection.settimeout(10)
        kind = random_.choice(KINDS)
        try:
            connection.sendall(kind(random_))
            sent += 1
        except OSError:
            connection.close()
            connection, closed = None, closed + 1
            continue
        if kind in (truncated, oversized) and len(held) < 64:
            held.append(connection)
            connection = None
        elif random_.random() < 0.3:
            # The answer, if any, is read, so that a node that answers is not stopped by a full socket.
            connection.setblocking(False)
            try:
                if connection.recv(65536) == b"":
                    closed += 1
            except OSError:
                pass
            if random_.random() < 0.5:  # half of them end with a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            connection = None
    for each in held:
        each.close()
    print(json.dumps({"sent": sent, "opened": opened, "closed_by_node": closed}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    main(parser.parse_args())
