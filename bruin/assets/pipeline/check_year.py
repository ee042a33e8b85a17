"""@bruin
name: pipeline.check_year
type: python
image: python:3.11
description: Proved, conserved and reconciled, or the pipeline fails
depends: [pipeline.report, answers.top_companies, answers.reconciliation, answers.months]
@bruin"""

import json
import os
import subprocess
import sys

given = json.loads(os.environ["BRUIN_VARS"])
year = given["year"] or int(os.environ["BRUIN_START_DATE"][:4]) - 1
words = ["--dataset", given["dataset"], "--year", str(year)]
sys.exit(subprocess.run(["data-pipeline", "run", "check_year", "--", *words], check=False).returncode)
