import errno
import unittest

import urllib3

from etl_core.errors import AccessError, UnavailableError
from etl_core.files import FAILING, translate_os_errors
from etl_core.http.translate import translate_http_errors
from etl_core.machine import ADVICE, what_is_missing


def caused_by(cause: BaseException) -> BaseException:
    error = ValueError("outer")
    error.__cause__ = cause
    return error


class WhatIsMissing(unittest.TestCase):
    def test_a_lack_is_named_with_advice_however_deep_it_lies(self):
        for error, said in [
            (OSError(errno.EMFILE, "x"), "cannot read: Too many open files. Raise the limit of open files"),
            (OSError(errno.ENOSPC, "x"), "cannot read: No space left on device. Free some space"),
            (OSError(errno.ENOMEM, "x"), "cannot read: Cannot allocate memory. Give the process more memory"),
            (MemoryError(), "cannot read: out of memory. Give the process more memory"),
            (RuntimeError("can't start new thread"), "cannot read: can't start new thread. Raise the limit of threads"),
            (AccessError("as it is"), "as it is"),
        ]:
            for one in (error, caused_by(error), caused_by(caused_by(error)), ValueError("args", error)):
                with self.subTest(said=said, error=repr(one)):
                    found = what_is_missing(one, "read")
                    self.assertIsInstance(found, AccessError)
                    self.assertTrue(str(found).startswith(said), str(found))

    def test_a_file_system_that_fails_for_a_moment_is_temporary(self):
        for number in FAILING:
            with (
                self.subTest(number),
                self.assertRaisesRegex(UnavailableError, "cannot read x: "),
                translate_os_errors("read x"),
            ):
                raise OSError(number, "no")
        for number in (errno.EIO, errno.ESTALE):
            with self.subTest(number):
                self.assertIsInstance(what_is_missing(OSError(number, "x")), UnavailableError)

    def test_a_machine_without_a_folder_for_temporary_files_gets_advice(self):
        error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
        self.assertRegex(str(what_is_missing(error)), "no folder for temporary files. Set TMPDIR")

    def test_a_system_without_locks_is_named_and_another_missing_module_is_a_bug(self):
        found = what_is_missing(ModuleNotFoundError("No module named 'fcntl'", name="fcntl"))
        self.assertRegex(str(found), "has no fcntl. It runs on Linux and macOS; elsewhere, use WSL")
        self.assertIsNone(what_is_missing(ModuleNotFoundError("No module named 'x'", name="x")))

    def test_a_bug_is_none(self):
        endless = ValueError("own cause")
        endless.args = (endless,)
        for error in (ValueError("x"), RuntimeError("x"), OSError(errno.ENOENT, "x"), OSError("no number"), endless):
            with self.subTest(type(error).__name__):
                self.assertIsNone(what_is_missing(error))

    def test_errors_of_files_and_requests_say_so_too(self):
        for number, advice in ADVICE.items():
            of_files = [] if number in FAILING else [translate_os_errors("read x")]
            for translated in (*of_files, translate_http_errors("http://x/")):
                with self.subTest(number), self.assertRaises(AccessError) as caught, translated:
                    raise OSError(number, "no")
                self.assertEqual(caught.exception.advice, advice)
        refused = urllib3.exceptions.HTTPError("outer", OSError(errno.EMFILE, "x"))
        with (
            self.assertRaisesRegex(AccessError, "cannot get http://x/: Too many open files"),
            translate_http_errors("http://x/"),
        ):
            raise refused
