"""DAGs of the tests: one job in each place, and nothing else."""

from airflow.sdk import DAG, Param

from orchestration.defaults import dag_options
from orchestration.operator import DataPipelineOperator

# Each fetches what no other test has fetched before it.
for place, year in (("process", "2021"), ("kubernetes", "2022")):
    with DAG(
        f"probe_{place}",
        schedule=None,
        params={"run_id": Param("probe", type="string")},
        doc_md="One job.",
        **dag_options("probe"),
    ) as dag:
        DataPipelineOperator(
            task_id="ingest",
            place=place,
            command=[
                *("run_pipeline", "--year", year, "--max-files", "1", "--run-id", "{{ params.run_id }}"),
            ],
        )
    globals()[dag.dag_id] = dag
