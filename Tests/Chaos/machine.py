# SPDX-License-Identifier: Apache-2.0
"""What the machine under all nodes does by itself: a disk that stands still stops every node, and no fault did it."""
import os
import threading
import time
from bisect import bisect_right

PAUSE = 0.05


class MachineDisk:
    """Syncs a small new file on the machine's own disk again and again, and remembers how long each took."""

    def __init__(self, folder):
        self.path, self.over = f"{folder}/probe", threading.Event()
        self.syncs = []  # (began, ended) in nanoseconds, one after the other
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.thread.start()

    def end(self):
        self.over.set()

    def run(self):
        while not self.over.wait(PAUSE):
            began = time.monotonic_ns()
            try:
                # A new file, as its sync waits for the file system's journal like that of a segment or a vote.
                file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
                try:
                    os.write(file, bytes(4096))
                    os.fsync(file)
                finally:
                    os.close(file)
                os.unlink(self.path)
            except OSError:  # no room for it: the nodes' own disks have theirs
                continue
            self.syncs.append((began, time.monotonic_ns()))

    def longest(self, began, ended):
        """The longest sync that was under way in this time, in seconds."""
        syncs = self.syncs[:bisect_right(self.syncs, ended, key=lambda sync: sync[0])]
        return max((end - begin for begin, end in syncs if end > began), default=0) / 1e9
