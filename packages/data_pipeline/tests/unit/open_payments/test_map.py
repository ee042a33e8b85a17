import pkgutil
import re
import unittest

from data_pipeline import open_payments


class TheMap(unittest.TestCase):
    def test_names_every_module_once_and_no_other(self):
        named = re.findall(r"``(\w+)``", open_payments.__doc__ or "")
        self.assertEqual(sorted(named), sorted(one.name for one in pkgutil.iter_modules(open_payments.__path__)))
