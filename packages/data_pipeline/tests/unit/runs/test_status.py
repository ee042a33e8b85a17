import unittest

from data_pipeline.runs.status import exit_code_of_failures


class TheExitCode(unittest.TestCase):
    def test_is_4_where_waiting_may_help_anything_that_failed(self):
        for temporary, expected in (([], 0), ([False], 3), ([False, False], 3), ([False, True], 4), ([True], 4)):
            with self.subTest(temporary):
                self.assertEqual(exit_code_of_failures(temporary), expected)
