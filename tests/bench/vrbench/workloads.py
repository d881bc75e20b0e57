# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is asked of a disk: points, and the load generator's runs."""

import dataclasses
import re

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20}
NAME = re.compile(r"([rw])([1-9]\d*)([km]?)-([1-9]\d*)(h?)")
DEPTH_MAX = 256  # ioload's
SIZE_MAX = 4 << 20
# Sequential from here on: a disk's large requests are.
SEQUENTIAL = 1 << 20
SPAN_MIB = 256  # the part of the disk that is used

DEFAULT = ("r512-1", "r512-32", "r4k-1", "r4k-32", "w4k-1", "w4k-32",
           "r64k-1", "r64k-32", "r1m-1", "r1m-32",
           "r64k-1h", "r64k-32h", "r1m-1h", "r1m-32h")
# Where only what a request costs is compared, not how its data goes.
COSTS = ("r4k-1", "r4k-32", "w4k-1", "w4k-32", "r64k-1", "r64k-32")
HUGE_PAGES = 32  # a buffer each, of the default points


@dataclasses.dataclass(frozen=True)
class Point:
    """One kind of load. Its name says it: r4k-32 is 4 KiB reads, depth 32.
    With an h at its end the program's buffers are in huge pages, so each is one
    piece of memory; otherwise no two pages of a buffer adjoin."""

    name: str
    write: bool
    size: int
    depth: int
    huge: bool

    @classmethod
    def parse(cls, name):
        """The point of a name; ValueError when it is none."""
        match = NAME.fullmatch(name)
        if not match:
            raise ValueError(f"{name}: no point; r4k-32 is 4 KiB reads, depth "
                             "32, and w1m-1 1 MiB writes, depth 1")
        size = int(match[2]) * UNITS[match[3]]
        depth = int(match[4])
        if size % 512 or size > SIZE_MAX:
            raise ValueError(f"{name}: the size is not a multiple of 512 up "
                             f"to {SIZE_MAX >> 20}m")
        if depth > DEPTH_MAX:
            raise ValueError(f"{name}: the depth is above {DEPTH_MAX}")
        return cls(name, match[1] == "w", size, depth, bool(match[5]))

    @property
    def mode(self):
        """ioload's name of the access."""
        access = "write" if self.write else "read"
        return access if self.size >= SEQUENTIAL else "rand" + access

    @property
    def title(self):
        """For people."""
        size = (f"{self.size >> 20} MiB" if self.size >= 1 << 20 else
                f"{self.size >> 10} KiB" if self.size >= 1 << 10 else
                f"{self.size} B")
        return (f"{size} {'write' if self.write else 'read'}, depth "
                f"{self.depth}" + (", huge" if self.huge else ""))

    def rate(self, ios, seconds):
        """(figure, unit) for people."""
        if self.size >= SEQUENTIAL:
            return ios * self.size / seconds / (1 << 20), "MiB/s"
        return ios / seconds, "IOPS"

    def command(self, path, seconds):
        """The load generator's command for a disk in the guest."""
        return (f"ioload -f {path} -m {self.mode} -b {self.size} "
                f"-q {self.depth} -t {seconds} -s {SPAN_MIB}" +
                (" -c" if self.huge else " -d"))


def points(text):
    """Points of a list of names, separated by commas."""
    return [Point.parse(name) for name in text.split(",")]
