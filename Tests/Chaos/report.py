# SPDX-License-Identifier: Apache-2.0
"""What a run says at its end: the checks' verdict, and for each kind of fault what it cost."""
import glob
import json
import statistics
import subprocess
from bisect import bisect_left
from collections import Counter, defaultdict


def say(sentence):
    print(sentence, flush=True)


def lag_of(rows):
    rows = rows if isinstance(rows, list) else rows.get("partitions", [])
    return sum(row["lag"] for row in rows)


def judge(run, *options):
    """The verdict of history-check on all histories of the run."""
    files = sorted(glob.glob(f"{run.folder}/*.jsonl"))
    done = subprocess.run([run.args.checker, *options, *files], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        return None, done.stderr.strip()
    return json.loads(done.stdout), ""


class Series:
    """When records were acknowledged, and what went wrong when."""

    def __init__(self, folder):
        self.acks, self.ends, self.errors = defaultdict(list), [], []
        for path in sorted(glob.glob(f"{folder}/*.jsonl")):
            begun = {}
            with open(path, encoding="utf-8") as file:
                for line in file:
                    if line.endswith("\n"):
                        self.take(json.loads(line), begun)
        for acks in self.acks.values():
            acks.sort()
        self.ends.sort()

    def take(self, line, begun):
        if line["phase"] == "invoke":
            begun[line["op"]] = line
            return
        start = begun.pop(line["op"], line)
        self.ends.append(line["at"])
        if line["phase"] == "ok" and start.get("action") == "send":
            self.acks[start["log"]].append(line["at"])
        if line["phase"] != "ok" and "error" in line:
            self.errors.append((line["at"], line["error"]))

    def gap(self, began, ended):
        """The longest time in which a partition had no acknowledgement, in seconds."""
        longest = 0
        for acks in self.acks.values():
            first, last = bisect_left(acks, began), bisect_left(acks, ended)
            # The acknowledgement before, those within, and the one after; where there is none, the window's edge.
            within = [acks[first - 1] if first else began, *acks[first:last], acks[last] if last < len(acks) else ended]
            longest = max([longest, *(after - before for before, after in zip(within, within[1:]))])
        return longest / 1e9

    def between(self, began, ended):
        return bisect_left(self.ends, ended) - bisect_left(self.ends, began)


def table(run, series):
    """One row a kind; windows of several faults are one kind of their own.

    `diskMax`: the longest sync of the machine's own disk meanwhile, which no fault did and every node waits for.
    """
    by_kind = defaultdict(list)
    for window in run.windows:
        if "whole" in window:
            by_kind[window["kinds"][0] if len(window["kinds"]) == 1 else "combined"].append(window)
    rows = []
    for kind, windows in sorted(by_kind.items()):
        gaps = [series.gap(window["began"], window["whole"]) for window in windows]
        errors = Counter(error for window in windows for at, error in series.errors
                         if window["began"] <= at < window["whole"])
        rows.append({
            "kind": kind, "injected": sum(len(window["kinds"]) for window in windows), "windows": len(windows),
            "gapP50": statistics.median(gaps), "gapMax": max(gaps),
            "diskMax": max(run.disk.longest(window["began"], window["whole"]) for window in windows),
            "wholeP50": statistics.median((window["whole"] - window["healed"]) / 1e9 for window in windows),
            "operations": sum(series.between(window["began"], window["whole"]) for window in windows),
            "restarted": sum(window["restarted"] for window in windows), "errors": dict(errors.most_common())})
    return rows


def show(rows):
    say("")
    say(f"{'fault':<20} {'injected':>8} {'gap p50':>8} {'gap max':>8} {'disk max':>8} {'whole p50':>9} "
        f"{'operations':>10} {'restarts':>8}  errors")
    for row in rows:
        errors = ", ".join(f"{name} {count}" for name, count in list(row["errors"].items())[:4])
        say(f"{row['kind']:<20} {row['injected']:>8} {row['gapP50']:>6.2f} s {row['gapMax']:>6.2f} s "
            f"{row['diskMax']:>6.2f} s {row['wholeP50']:>7.1f} s {row['operations']:>10} {row['restarted']:>8}  "
            f"{errors}")
    say("")


def conclude(run):
    """Prints and keeps the report; the exit status."""
    verdict, trouble = judge(run)
    if verdict is None:
        say(f"the histories cannot be judged: {trouble}")
        return 2
    rows = table(run, Series(run.folder))
    show(rows)
    figures = verdict["figures"]
    complaints = run.complaints + run.load.broken
    say(f"{figures['operations']} operations checked: {figures['acknowledged']} records acknowledged, "
        f"{figures['unknownSends']} of unknown outcome ({figures['unknownSendsFound']} of them stored), "
        f"{figures['recordsRead']} reads of {figures['offsetsRead']} records, {figures['commits']} commits, "
        f"{figures['offsetFetches']} offsets fetched, {figures['endsListed']} ends listed; "
        f"{run.equal_bytes >> 20} MiB of replicas compared")
    for note in run.notes:
        say(f"note: {note}")
    for example in verdict["examples"]:
        say(f"  {example['anomaly']} in {example['log']}: {example['sentence']}")
    for complaint in complaints:
        say(f"  {complaint}")
    is_sound = verdict["sound"] and not complaints
    with open(f"{run.folder}/report.json", "w", encoding="utf-8") as file:
        json.dump({"seed": run.args.seed, "nodes": run.args.nodes, "sound": is_sound, "verdict": verdict,
                   "faults": rows, "complaints": complaints, "notes": run.notes, "windows": run.windows},
                  file, indent=1)
    if is_sound:
        say(f"SOUND: nothing acknowledged was lost, nothing stale was shown, all replicas agree (seed {run.args.seed})")
        return 0
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(verdict["anomalies"].items()))
    say(f"BROKEN (seed {run.args.seed}): {counts or 'see above'}; everything is in {run.folder}")
    return 1
