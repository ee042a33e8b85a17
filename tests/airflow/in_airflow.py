"""Runs in Airflow's environment: what the DAG folder holds and, by ``dag.test()``, how runs of its DAGs end.

Prints one JSON object as its last line.
"""

import json
import os
import urllib.request
from datetime import UTC, datetime

from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.models.xcom import XComModel
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowDagCycleException
from airflow.utils.session import create_session


def has_cycle(dag: DAG) -> bool:
    try:
        dag.check_cycle()
    except AirflowDagCycleException:
        return True
    return False


def described(dag: DAG) -> dict[str, object]:
    return {
        "tasks": {
            task.task_id: [bool(task.doc_md), task.owner, task.retries, len(task.on_failure_callback or ())]
            for task in dag.tasks
        },
        "edges": sorted(f"{task.task_id} {after}" for task in dag.tasks for after in task.downstream_task_ids),
        "schedule": str(dag.schedule),
        "tags": sorted(dag.tags),
        "has_doc": bool(dag.doc_md),
        "paused": dag.is_paused_upon_creation,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "cycle": has_cycle(dag),
    }


def tried(dag: DAG, **conf: object) -> dict[str, object]:
    run = dag.test(logical_date=datetime(2025, 7, 2, 6, 0, len(conf), tzinfo=UTC), run_conf=conf)
    with create_session() as session:
        notes = session.query(XComModel).filter_by(run_id=run.run_id)
        xcoms = {f"{one.task_id}.{one.key}": XComModel.deserialize_value(one) for one in notes}
    tasks = {f"{one.task_id}": [str(one.state), one.try_number] for one in run.get_task_instances()}
    labels = {one.task_id: one.rendered_map_index for one in run.get_task_instances() if one.map_index >= 0}
    return {"state": str(run.state), "tasks": tasks, "xcoms": xcoms, "labels": labels}


def rendered(dag: DAG, **context: object) -> list[str]:
    """The command of its first step."""
    task = dag.get_task("ingest")
    return [str(word) for word in task.render_template(task.command, context)]


def looked(dag: DAG, second: int) -> dict[str, object]:
    """How a look for new releases ended, and what was triggered so far."""
    run = dag.test(logical_date=datetime(2025, 7, 7, 7, 0, second, tzinfo=UTC))
    with create_session() as session:
        triggered = session.query(DagRun).filter(DagRun.run_id.startswith("release__"))
        return {"state": str(run.state), "triggered": {f"{one.dag_id} {one.run_id}": one.conf for one in triggered}}


def republish(year: int) -> None:
    request = urllib.request.Request(f"{os.environ['OPEN_PAYMENTS_URL']}/_sandbox/republish", method="POST")
    with urllib.request.urlopen(request, json.dumps({"year": year, "changed": 1}).encode(), timeout=60) as answer:
        answer.read()


bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
found = {"errors": bag.import_errors, "dags": {name: described(dag) for name, dag in bag.dags.items()}}
if not bag.import_errors:
    year, releases = bag.dags["open_payments_year"], bag.dags["open_payments_releases"]
    params = {"agency_id": 10, "source_bucket": "documents", "run_id": None}
    found["agency"] = rendered(bag.dags["agency_files"], params=params, run_id="manual__2025-07-02T06:00:00+00:00")
    found["customers"] = tried(bag.dags["customers_daily"])
    found["completed"] = tried(year, dataset="general-payments")
    found["refused"] = tried(year, dataset="general-payments", year=2019)
    found["looks"] = [looked(releases, 0)]
    republish(2024)
    found["looks"] += [looked(releases, 1), looked(releases, 2)]
print(json.dumps(found, default=str))
