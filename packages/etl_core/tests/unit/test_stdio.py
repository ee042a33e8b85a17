import contextlib
import io
import os
import unittest
from pathlib import Path
from typing import TextIO

from etl_core.errors import AccessError
from etl_core.stdio import BrokenPipeSafeStream, say, write_bytes


def a_pipe_nobody_reads() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


class BrokenPipeSafeStreamCase(unittest.TestCase):
    def test_writing_to_a_closed_pipe_is_no_error(self):
        for may_fail in (True, False):
            with self.subTest(may_fail=may_fail), a_pipe_nobody_reads() as stream:
                guarded = BrokenPipeSafeStream(stream, may_fail=may_fail)
                for _ in range(2):
                    self.assertEqual(guarded.write("lost\n"), 5)
                    guarded.flush()

    def test_a_result_that_does_not_fit_on_the_disk_is_an_error(self):
        with Path("/dev/full").open("w", encoding="utf-8") as stream:
            guarded = BrokenPipeSafeStream(stream, may_fail=False)
            guarded.write("a result\n")
            with self.assertRaisesRegex(AccessError, "cannot write to /dev/full: No space left on device. Free some"):
                guarded.flush()

    def test_a_log_line_that_does_not_fit_on_the_disk_is_no_error(self):
        with Path("/dev/full").open("w", encoding="utf-8") as stream:
            guarded = BrokenPipeSafeStream(stream, may_fail=True)
            guarded.write("a line\n")
            guarded.flush()

    def test_text_reaches_an_open_pipe(self):
        reader, writer = os.pipe()
        with os.fdopen(reader) as end, os.fdopen(writer, "w", encoding="utf-8") as stream:
            guarded = BrokenPipeSafeStream(stream, may_fail=False)
            guarded.write("")
            guarded.write("a line\n")
            guarded.flush()
            self.assertEqual((end.readline(), guarded.encoding, guarded.isatty()), ("a line\n", "utf-8", False))

    def test_bytes_stop_being_asked_for_once_the_reader_has_gone(self):
        asked = []

        def chunks():
            for number in range(100):
                asked.append(number)
                yield b"x" * 1_000_000

        with a_pipe_nobody_reads() as stream:
            write_bytes(BrokenPipeSafeStream(stream, may_fail=False), chunks())
        self.assertEqual(asked, [0])

    def test_bytes_that_do_not_fit_on_the_disk_are_an_error(self):
        with Path("/dev/full").open("w", encoding="utf-8") as stream, self.assertRaisesRegex(AccessError, "No space"):
            write_bytes(stream, [b"x" * 1_000_000])


class Say(unittest.TestCase):
    def test_lines_are_shown_with_their_control_characters_escaped(self):
        for to_stdout in (True, False):
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                say("a  b", "\x1b[2J\nremoved  raw/real.csv", to_stdout=to_stdout)
            said = ("a  b\n\\x1b[2J\\nremoved  raw/real.csv\n", "")
            self.assertEqual((out.getvalue(), err.getvalue()), said if to_stdout else said[::-1])
