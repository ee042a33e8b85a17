"""@bruin
name: pipeline.stage
type: python
image: python:3.11
description: Typed Parquet and quarantine
depends: [pipeline.ingest]
@bruin"""

import json
import os
import subprocess
import sys

given = json.loads(os.environ["BRUIN_VARS"])
year = given["year"] or int(os.environ["BRUIN_START_DATE"][:4]) - 1
words = ["--dataset", given["dataset"], "--year", str(year)]
sys.exit(subprocess.run(["data-pipeline", "run", "stage", "--", *words], check=False).returncode)
