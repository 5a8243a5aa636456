# SPDX-License-Identifier: Apache-2.0
"""Holds what the clients' suites said against KNOWN.md.

verdict.py skip java|kafka-python         what the suite is told, so that it leaves out what KNOWN.md says is not run
verdict.py judge [--partly] CLIENT=FILE…  java's output, kafka-python's JUnit file; exit code 1 when a check failed
                                          that is not listed, or a suite did not end. --partly: some checks were run
verdict.py self-check                     a fault planted in each kind of input is found
"""
import pathlib
import re
import sys
import xml.etree.ElementTree

KNOWN = pathlib.Path(__file__).with_name("KNOWN.md")
CLIENTS = ["java", "kafka-python"]
FOLDER = "test/integration"


class Known:
    """KNOWN.md: `skipped` are patterns of checks that are not run, `failing` names of checks that fail."""

    def __init__(self, text):
        self.skipped = {client: [] for client in CLIENTS}
        self.failing = {client: {} for client in CLIENTS}
        section = None
        for line in text.splitlines():
            if line.startswith("## "):
                section = line[3:].strip()
            if not line.startswith("| ") or line.startswith("| client "):
                continue
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) != 4 or cells[0] not in CLIENTS or not all(cells):
                raise ValueError(f"KNOWN.md: a row wants client, check, reason, issue: {line}")
            client, check, reason, _ = cells
            check = check.strip("`")
            if section == "Not run":
                self.skipped[client].append(check)
            elif section == "Known to fail":
                self.failing[client][check] = reason
            else:
                raise ValueError(f"KNOWN.md: a row under '{section}': {line}")

    def arguments(self, client):
        if client == "java":
            return "|".join(f"(?:{pattern})" for pattern in self.skipped[client]) or "$^"
        return " ".join(f"--deselect {FOLDER}/{name.replace('::', '.py::')}" for name in self.skipped[client])


def read_java(text):
    """Outcome (pass, fail, skip) and reason of each check, and why the run as a whole is unsound, or None."""
    results, ended = {}, False
    for line in text.splitlines():
        match = re.match(r"(PASS|FAIL|SKIP) (\S+)\s+\d+ ms ?(.*)$", line)
        if match:
            results[match[2]] = (match[1].lower(), match[3].strip())
        elif line.startswith("FAIL connect"):
            return results, line
        elif re.match(r"\d+ passed, \d+ failed, \d+ skipped$", line):
            ended = True
    return results, None if ended else "the Java checks did not come to their end"


def read_junit(text):
    results = {}
    try:
        root = xml.etree.ElementTree.fromstring(text)
    except xml.etree.ElementTree.ParseError as error:
        return results, f"kafka-python's tests left no report ({error})"
    for case in root.iter("testcase"):
        name = f"{case.get('classname', '').split('.')[-1]}::{case.get('name')}"
        outcome, reason = "pass", ""
        for kind, word in [("failure", "fail"), ("error", "fail"), ("skipped", "skip")]:
            found = case.find(kind)
            if found is not None:
                outcome, reason = word, " ".join((found.get("message") or "").split())[:260]
                break
        # A test and its teardown are two entries of one name: a failure of either counts.
        if results.get(name, ("", ""))[0] != "fail":
            results[name] = (outcome, reason)
    return results, None if results else "kafka-python's report names no test"


def judge(known, client, results, unsound, partly=False):
    """Lines to print, and whether all is well."""
    count = {word: sum(outcome == word for outcome, _ in results.values()) for word in ["pass", "fail", "skip"]}
    lines = [f"{client}: {count['pass']} passed, {count['fail']} failed, {count['skip']} skipped by the suite"]
    if known.skipped[client]:
        lines[0] += ", others not run (KNOWN.md)"
    failing = known.failing[client]
    unlisted = [name for name, (outcome, _) in results.items() if outcome == "fail" and name not in failing]
    for name, (outcome, reason) in sorted(results.items()):
        if name in unlisted:
            lines.append(f"  UNLISTED {name}: {reason}")
        elif outcome == "fail":
            lines.append(f"  known    {name}: {failing[name]}")
        elif outcome == "skip":
            lines.append(f"  skipped  {name}: {reason}")
    for name in sorted(failing):
        if results.get(name, ("",))[0] == "pass":
            lines.append(f"  passed   {name}, which KNOWN.md lists: take it out when it does so every time")
        elif name not in results and not partly:
            lines.append(f"  absent   {name}, which KNOWN.md lists, is no check of this suite any more")
    if unsound:
        lines.append(f"  UNSOUND  {unsound}")
    return lines, not unlisted and not unsound


def self_check():
    known = Known("## Not run\n| java | `^txn\\.` | later | 5 |\n| kafka-python | `a::t[x]` | later | 5 |\n"
                  "## Known to fail\n| client | check | reason | issue |\n| java | `a.b` | is so | 3.6 |\n")
    end = "\n2 passed, 0 failed, 0 skipped\n"
    passed, listed, failed = "PASS a.a   12 ms \n", "FAIL a.b   1 ms x\n", "FAIL a.c  1 ms y\n"
    report = "<testsuites><testsuite><testcase classname='t.m' name='a'>%s</testcase></testsuite></testsuites>"
    cases = [
        (read_java(passed + listed + end), "java", True),
        (read_java(passed + failed + end), "java", False),
        (read_java(passed), "java", False),
        (read_java("FAIL connect: no\n0 passed, 1 failed"), "java", False),
        (read_junit(report % ""), "kafka-python", True),
        (read_junit(report % "<skipped message='s'/>"), "kafka-python", True),
        (read_junit(report % "<failure message='f'/>"), "kafka-python", False),
        (read_junit(report % "<error message='f'/>"), "kafka-python", False),
        (read_junit("<testsuites/>"), "kafka-python", False),
        (read_junit("torn"), "kafka-python", False),
    ]
    missed = [number for number, ((results, unsound), client, wanted) in enumerate(cases)
              if judge(known, client, results, unsound)[1] != wanted]
    if not re.search(known.arguments("java"), "txn.a") or re.search(known.arguments("java"), "a.txn"):
        missed.append("skip java")
    if known.arguments("kafka-python") != f"--deselect {FOLDER}/a.py::t[x]":
        missed.append("skip kafka-python")
    row = "| java | a | b | c |\n"
    for text in ["## Not run\n" + row.replace("c |", ""), "## Other\n" + row, "## Not run\n" + row.replace("va", "")]:
        try:
            Known(text)
            missed.append(text)
        except ValueError:
            pass
    print(f"{len(cases) + 5} planted, missed: {missed}")
    return not missed


def main(words):
    if words == ["self-check"]:
        return self_check()
    known = Known(KNOWN.read_text(encoding="utf-8"))
    if len(words) == 2 and words[0] == "skip" and words[1] in CLIENTS:
        print(known.arguments(words[1]))
        return True
    if not words or words[0] != "judge":
        sys.exit(__doc__)
    partly = "--partly" in words
    sound = True
    for word in words[1:]:
        if word == "--partly":
            continue
        client, file = word.split("=", 1)
        path = pathlib.Path(file)
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        results, unsound = {"java": read_java, "kafka-python": read_junit}[client](text)
        lines, well = judge(known, client, results, unsound, partly)
        print("\n".join(lines))
        sound = sound and well
    return sound


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
