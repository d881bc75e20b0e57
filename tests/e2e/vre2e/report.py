# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks: how they are declared, run, timed and counted."""

import os
import time
import traceback

START = time.monotonic()
QUOTED = 12  # lines of a console


class Fail(Exception):
    """A check failed; the text says what was seen."""


class Skip(Exception):
    """A check cannot be made here; the text says why."""


def say(text):
    """A line with the time since the start."""
    print(f"[e2e] {time.monotonic() - START:6.1f} s  {text}", flush=True)


def require(condition, text):
    """Fail with the text unless the condition holds."""
    if not condition:
        raise Fail(text)


class Group:
    """Checks that share guests: set up once, torn down whatever happens."""

    def __init__(self, name, host=None, sweep=False,
                 arches=("arm64", "x86"), build=None):
        self.name = name
        self.host = host  # (hypervisor, xsm); None: the architecture's usual
        self.arches = arches  # whose hosts it is for
        self.build = build  # fn(share): what no other group needs
        self.sweep = sweep  # after a failed check, make room for the next
        self.checks = []
        self.setup = None
        self.teardown = None

    def check(self, name, limit=60, arches=None):
        """Declare a check: fn(host) or, after a set-up, fn(host, made).
        arches: the hosts it is for, when not all of the group's."""
        def add(fn):
            fn.arches = arches or self.arches
            self.checks.append((name, fn, limit))
            return fn
        return add

    def many(self, name, limit=60):
        """Declare a generator of many checks alike: it yields (name, why it
        failed or None, seconds) for each, as they come."""
        def add(fn):
            fn.many, fn.arches = True, self.arches
            self.checks.append((name, fn, limit))
            return fn
        return add

    def on_setup(self, fn):
        """fn(host) returns what every check of the group gets."""
        self.setup = fn
        return fn

    def on_teardown(self, fn):
        """fn(host), called whatever happened."""
        self.teardown = fn
        return fn


class Report:
    """Counts, and one line per check."""

    def __init__(self, logdir, only=None):
        self.passed = self.failed = self.skipped = 0
        self.logdir = logdir
        self.only = only
        self.failures = []
        self.repeats = []
        # Seconds, and those of the emulator's processors, by what they were
        # spent on: the second do not depend on what runs beside.
        self.times = {}
        self.since = START, 0

    def mark(self):
        """What is counted until now, for repeat()."""
        return self.passed, self.failed, self.skipped, len(self.failures)

    def repeat(self, mark, name, why):
        """A group is begun once more: its results since the mark are void."""
        self.passed, self.failed, self.skipped, failures = mark
        del self.failures[failures:]
        self.repeats.append(" ".join(f"{name}: {why}".split()))
        say(f"{name} once more")

    def took(self, what, used=0):
        """The time since the last call was spent on this. used: seconds of a
        processor that the emulator has taken since its start, if there is one."""
        used = used or 0
        now, (since, before) = time.monotonic(), self.since
        wall, processor = self.times.get(what, (0, 0))
        # less than before: it is another one
        processor += used - before if used >= before else used
        self.times[what] = wall + now - since, processor
        self.since = now, used

    def line(self, verdict, name, seconds, why=""):
        """Print and count one result."""
        said = f"{name} ({seconds:.1f} s)" + (f": {why}" if why else "")
        if verdict == "PASS":
            self.passed += 1
        elif verdict == "SKIP":
            self.skipped += 1
        else:
            self.failed += 1
            self.failures.append(" ".join(said.split()))
        say(f"{verdict} {said}")

    @staticmethod
    def quote(said):
        """The ends of what the consoles said during a check that failed."""
        for name, text in said.items():
            for line in text.splitlines()[-QUOTED:]:
                print(f"        {name}: {line.rstrip()[:200]}", flush=True)

    def run(self, name, fn, *args):
        """Run one check; True when it did not fail."""
        begin = time.monotonic()
        try:
            if getattr(fn, "many", False):
                for row, why, seconds in fn(*args):
                    self.line("FAIL" if why else "PASS", f"{name}: {row}",
                              seconds, why or "")
                return True
            note = fn(*args)
        except Skip as skip:
            self.line("SKIP", name, time.monotonic() - begin, str(skip))
            return True
        except Fail as fail:
            self.line("FAIL", name, time.monotonic() - begin, str(fail))
            return False
        except Exception as error:  # pylint: disable=broad-exception-caught
            # A broken check is a failed check.
            with open(os.path.join(self.logdir, "exceptions.log"), "a",
                      encoding="utf-8") as file:
                file.write(f"--- {name}\n{traceback.format_exc()}\n")
            self.line("FAIL", name, time.monotonic() - begin,
                      f"{type(error).__name__}: {error}")
            return False
        self.line("PASS", name, time.monotonic() - begin,
                  note if isinstance(note, str) else "")
        return True

    def summary(self):
        """The closing lines; the exit status."""
        spent = sorted(self.times.items(), key=lambda item: -item[1][0])
        say("seconds (emulator's processors): " + ", ".join(
            f"{what} {wall:.0f} ({processor:.0f})"
            for what, (wall, processor) in spent))
        for repeat in self.repeats:
            print(f"  once more: {repeat}")
        for failure in self.failures:
            print(f"  failed: {failure}")
        print(f"{self.passed} passed, {self.failed} failed, "
              f"{self.skipped} skipped", flush=True)
        return 1 if self.failed else 0
