#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the runner of the end-to-end tests does when its host stands still or a
check fails: with a fake host, in seconds."""

import argparse
import contextlib
import dataclasses
import io
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
# pylint: disable=wrong-import-position
from vre2e import arch, build, host, runner
from vre2e.report import Fail, Group, Report

OPTIONS = argparse.Namespace(attach=None, no_build=True, steady=False, smp=1,
                             keep=False)


class Runner(unittest.TestCase):
    """One run each, of groups that do something to their host."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = folder.name
        self.instance = os.path.join(root, "out", "host", "fake")
        os.environ["FAKE_HOSTS"] = os.path.dirname(self.instance)
        build.OUT = os.path.join(root, "out", "fake")
        os.makedirs(build.OUT)
        build.ROOT = host.ROOT = root
        build.HOST = host.HOST = os.path.join(HERE, "fakehost")
        host.LOOK = 0.5
        arch.now = dataclasses.replace(arch.ARM64, patience=0.05)
        self.addCleanup(subprocess.run, [host.HOST, "down", "--name", "fake"],
                        check=True)

    def run_groups(self, *groups):
        """The exit status and what was printed."""
        report = Report(build.OUT)
        with contextlib.redirect_stdout(io.StringIO()) as text:
            runner.run_all(groups, OPTIONS, report)
            status = report.summary()
        return status, text.getvalue()

    def boots(self):
        """How many hosts there were."""
        with open(os.path.join(self.instance, "boots"),
                  encoding="ascii") as file:
            return len(file.readlines())

    def group(self, name, command, lives):
        """Two checks; the second does the command in so many lives."""
        group = Group(name)
        left = [command] * lives

        @group.check("before")
        def before(h):
            h.ok("true")

        @group.check("command")
        def does(h):
            h.ok(left.pop() if left else "true")

        return group

    def test_once(self):
        """Another host, the whole group again, each check counted once."""
        for command in ("stand still", "lose timers"):
            with self.subTest(command):
                before = self.boots() if os.path.exists(self.instance) else 0
                status, text = self.run_groups(self.group("one", command, 1),
                                               self.group("two", "true", 0))
                self.assertEqual(status, 0, text)
                self.assertEqual(self.boots() - before, 2)
                self.assertEqual(text.count("PASS one: before"), 2)
                self.assertRegex(
                    text, "(?m)^  once more: one: .*stands still.*" + command)
                # three lines a group, with "nothing left behind"
                self.assertTrue(text.endswith(
                    "6 passed, 0 failed, 0 skipped\n"), text)

    def test_twice(self):
        """The group fails, the next one has a host of its own."""
        status, text = self.run_groups(self.group("one", "stand still", 2),
                                       self.group("two", "stand still", 1))
        self.assertEqual(status, 1)
        self.assertEqual(self.boots(), 4, text)
        self.assertRegex(text, "(?m)^  failed: one: the host .*stands still")
        self.assertRegex(text, "(?m)^  once more: two: ")
        self.assertTrue(text.endswith("4 passed, 1 failed, 0 skipped\n"), text)

    def test_busy(self):
        """A host that hangs and is busy may be our fault: no second try."""
        status, text = self.run_groups(self.group("one", "be busy", 1))
        self.assertEqual(status, 1)
        self.assertEqual(self.boots(), 1, text)
        self.assertNotIn("once more", text)

    def say(self, text):
        """A line on the host's console."""
        with open(os.path.join(self.instance, "console.log"), "a",
                  encoding="ascii") as file:
            file.write(text + "\n")

    def test_reset(self):
        """A guest whose processor was reset: as when the host stands still."""
        group = Group("one")
        left = ["(XEN) d3v0 Triple fault - invoking HVM shutdown action 1"]

        @group.check("fails")
        def fails(_h):
            if left:
                self.say(left.pop())
                raise Fail("it is gone")

        status, text = self.run_groups(group)
        self.assertEqual(status, 0, text)
        self.assertEqual(self.boots(), 2, text)
        self.assertRegex(text, "(?m)^  once more: one: .*triple fault")

    def test_quotes(self):
        """After a failure stands what the consoles said in that check."""
        group = Group("one")

        @group.check("before")
        def before(h):
            self.say("earlier")

        @group.check("fails")
        def fails(h):
            self.say("(XEN) why")
            raise Fail("as it should")

        status, text = self.run_groups(group)
        self.assertEqual(status, 1)
        self.assertRegex(text, "FAIL one: fails .*\n        host: .XEN. why\n")
        self.assertNotIn("earlier", text)


if __name__ == "__main__":
    unittest.main()
