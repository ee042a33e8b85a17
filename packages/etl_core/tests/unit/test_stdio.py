import os
import unittest
from pathlib import Path
from typing import TextIO

from etl_core.errors import AccessError
from etl_core.stdio import Heard


def a_pipe_nobody_reads() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


class Speaking(unittest.TestCase):
    def test_is_in_vain_and_no_error_once_the_reader_is_gone(self):
        for may_fail in (True, False):
            with self.subTest(may_fail=may_fail), a_pipe_nobody_reads() as stream:
                heard = Heard(stream, may_fail=may_fail)
                for _ in range(2):
                    self.assertEqual(heard.write("lost\n"), 5)
                    heard.flush()

    def test_on_a_full_disk_is_an_error_where_it_is_the_result(self):
        with Path("/dev/full").open("w", encoding="utf-8") as stream:
            heard = Heard(stream, may_fail=False)
            heard.write("a result\n")
            with self.assertRaisesRegex(AccessError, "cannot write to /dev/full: No space left on device. Free some"):
                heard.flush()

    def test_on_a_full_disk_is_none_where_it_is_the_log(self):
        with Path("/dev/full").open("w", encoding="utf-8") as stream:
            heard = Heard(stream, may_fail=True)
            heard.write("a line\n")
            heard.flush()

    def test_arrives_where_somebody_reads(self):
        reader, writer = os.pipe()
        with os.fdopen(reader) as end, os.fdopen(writer, "w", encoding="utf-8") as stream:
            heard = Heard(stream, may_fail=False)
            heard.write("")
            heard.write("a line\n")
            heard.flush()
            self.assertEqual((end.readline(), heard.encoding, heard.isatty()), ("a line\n", "utf-8", False))
