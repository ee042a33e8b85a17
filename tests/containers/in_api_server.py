"""Runs in the API server's container: signs in as a person does, triggers a year and waits for its end.

Prints one JSON object.
"""

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

SECONDS = 300
YEAR = "/api/v2/dags/open_payments_year"
headers = {"Content-Type": "application/json"}


def ask(method: str, path: str, **body: object) -> Any:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"http://127.0.0.1:8080{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def state() -> dict[str, Any]:
    health = ask("GET", "/api/v2/monitor/health")
    return {
        "health": {name: one["status"] for name, one in health.items()},
        "dags": sorted(one["dag_id"] for one in ask("GET", "/api/v2/dags")["dags"]),
        "import_errors": ask("GET", "/api/v2/importErrors")["total_entries"],
    }


passwords = json.loads(Path("/opt/home/simple_auth_manager_passwords.json.generated").read_text())
token = ask("POST", "/auth/token", username="admin", password=passwords["admin"])["access_token"]
headers["Authorization"] = f"Bearer {token}"
deadline = time.monotonic() + SECONDS
while len((found := state())["dags"]) < 4 or set(found["health"].values()) != {"healthy"}:
    assert time.monotonic() < deadline, found
    time.sleep(1)
ask("PATCH", YEAR, is_paused=False)
conf = {"dataset": "general-payments", "year": 2024}
ask("POST", f"{YEAR}/dagRuns", dag_run_id="composed", logical_date=None, conf=conf)
while (run := ask("GET", f"{YEAR}/dagRuns/composed")["state"]) in ("queued", "running"):
    assert time.monotonic() < deadline, found
    time.sleep(1)
tasks = ask("GET", f"{YEAR}/dagRuns/composed/taskInstances")["task_instances"]
print(json.dumps(found | {"state": run, "tasks": {one["task_id"]: one["state"] for one in tasks}}))
