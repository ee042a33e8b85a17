"""@bruin
name: pipeline.ingest
type: python
image: python:3.11
description: Fetch and prove every company of the year
@bruin"""

import json
import os
import subprocess
import sys

given = json.loads(os.environ["BRUIN_VARS"])
year = given["year"] or int(os.environ["BRUIN_START_DATE"][:4]) - 1
words = ["--dataset", given["dataset"], "--year", str(year)]
sys.exit(subprocess.run(["data-pipeline", "run", "run_pipeline", "--", *words], check=False).returncode)
