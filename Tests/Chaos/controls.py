# SPDX-License-Identifier: Apache-2.0
"""Clusters that are broken on purpose, to show that the checks would see it (reliability of the checks themselves).

Each control takes away one thing that a promise rests on, does what the promise is about, and asks whether the verdict
says so. A control that is not caught fails: then the checks prove nothing.
"""
import time

import report

LOSSES = {"lost-write", "unseen", "vanished", "inconsistent-offsets", "offset-too-low", "gap"}


def say(sentence):
    print(sentence, flush=True)


def prepare(args):
    """What the clients of each control are set to."""
    args.faults = "none"
    args.native_producers = args.lookers = args.askers = 0
    if args.control == "fsync-off":
        args.producers, args.plain_producers = 2, 1
    if args.control == "acks-one":
        args.producers, args.plain_producers, args.acks = 0, 3, "1"
    if args.control == "no-idempotence":
        args.producers, args.plain_producers = 0, 3


def fsync_off(run):
    """Nodes whose fsync does nothing, and then the power goes on all of them."""
    for node in run.cluster.nodes:
        node.control["lies"] = 1
    time.sleep(6)
    run.cluster.power_loss(run.cluster.nodes)
    for node in run.cluster.nodes:
        node.control["lies"] = 0
    run.cluster.power_on(run.cluster.nodes)
    run.cluster.wait_whole(60)
    time.sleep(3)
    say(f"syncs that were lies: {[node.control['lied'] for node in run.cluster.nodes]}")


def acks_one(run):
    """Leaders that acknowledge alone are cut off from the others, and lose their power a moment later."""
    for _ in range(3):
        node = run.view.some_leader()
        if node is None:
            continue
        rules = [("in", f"ip saddr {other.peer} drop") for other in run.cluster.nodes if other is not node]
        node.obstruct("acks-one", rules)
        time.sleep(0.8)
        run.cluster.power_loss([node])
        node.release("acks-one")
        time.sleep(2)
        run.cluster.power_on([node])
        run.cluster.wait_whole(60)
        time.sleep(2)


def no_idempotence(run):
    """The answers of leaders are lost, so that producers send again what was stored."""
    for _ in range(4):
        node = run.view.some_leader()
        if node is None:
            continue
        node.obstruct("no-idempotence", [("out", "ip daddr 10.87.0.1 drop")])
        time.sleep(9)  # longer than the clients wait for an answer
        node.release("no-idempotence")
        run.cluster.wait_whole(60)
        time.sleep(2)


CONTROLS = {"fsync-off": fsync_off, "acks-one": acks_one, "no-idempotence": no_idempotence}


def conclude(run):
    options = {"fsync-off": (), "acks-one": ("--believe-every-ack",), "no-idempotence": ("--expect-idempotence",)}
    verdict, trouble = report.judge(run, *options[run.args.control])
    if verdict is None:
        say(f"the histories cannot be judged: {trouble}")
        return 2
    wanted = {"duplicate"} if run.args.control == "no-idempotence" else LOSSES
    found = {kind: count for kind, count in sorted(verdict["anomalies"].items()) if kind in wanted}
    words = ", ".join(f"{kind} {count}" for kind, count in found.items())
    records = verdict["figures"]["acknowledged"]
    if found:
        say(f"CAUGHT {run.args.control}: {words}, of {records} records")
        return 0
    say(f"MISSED {run.args.control}: {records} records, and nothing was found; the checks do not see what they should")
    return 1
