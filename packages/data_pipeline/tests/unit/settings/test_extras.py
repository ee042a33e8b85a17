import unittest

from data_pipeline.settings.extras import advice, require
from etl_core.errors import ConfigError


class Extras(unittest.TestCase):
    def test_an_installed_library_is_no_error(self):
        require("json", "lakehouse")

    def test_a_missing_library_is_an_error_that_names_paths_of_the_checkout(self):
        with self.assertRaises(ConfigError) as caught:
            require("no_such_library", "lakehouse")
        self.assertEqual(
            str(caught.exception),
            "no_such_library is not installed. In the checkout: pip install ./packages/etl_core "
            "'./packages/data_pipeline[lakehouse]'. For uv and pipx see docs/installation.md.",
        )

    def test_the_advice_names_every_package_of_ours_that_pip_would_ask_an_index_for(self):
        self.assertIn("./packages/etl_core ./packages/analytics './packages/data_pipeline[dbt]'", advice("dbt"))
