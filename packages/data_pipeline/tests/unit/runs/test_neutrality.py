import re
import unittest
from pathlib import Path

import data_pipeline.runs

LIST = "metadata/runs/run_id=r1/file_audits.jsonl"


class TheText(unittest.TestCase):
    def test_of_what_every_run_has_names_no_domain(self):
        terms = re.compile(r"open.?payments|\bcms\b|payer|compan|slice|window|customer|agency|dataset", re.IGNORECASE)
        for path in sorted(Path(data_pipeline.runs.__file__).parent.glob("*.py")):
            with self.subTest(file=path.name):
                self.assertEqual(terms.findall(path.read_text()), [])
