"""``DataPipelineOperator``: one registered job as an Airflow task."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from etl_core.errors import PermanentError
from etl_core.stop import Stop
from orchestration import settings as configuration
from orchestration.commands import shown, subject_of
from orchestration.outcomes import Outcome, references
from orchestration.process import ProcessPlace, end_with_parent

if TYPE_CHECKING:
    from orchestration.kubernetes import KubernetesPlace
    from orchestration.settings import Settings

# Of a cancelled or finished task instance; a cleared or a killed one is in another state.
FINAL_STATES = ("failed", "success")
# What people see of a mapped task in place of its number. `partial` takes it; it does not know the options below.
LABEL = "{{ task.subject }}"
# What the event of an asset says, as far as the job's fact has it.
NAMED = ("run_id", "dataset", "year", "release", "build", "manifest", "rows")


class JobFailedError(AirflowException):
    """A job ended otherwise than with status 0. Its text is the run's own diagnosis."""

    def __init__(self, outcome: Outcome, command: Sequence[str]) -> None:
        super().__init__(outcome.diagnosis(shown(command)))
        self.outcome = outcome


class ByExitStatus(RetryPolicy):
    """2 and 3 end a task at once; 4 tries again when the source said; all else is Airflow's default."""

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - Airflow's
        max_tries: int,  # noqa: ARG002
        context: Any = None,  # noqa: ARG002
    ) -> RetryDecision:
        if isinstance(exception, PermanentError):
            return RetryDecision.fail(reason="permanent")
        outcome = exception.outcome if isinstance(exception, JobFailedError) else Outcome(1)
        if outcome.verdict == "fail":
            return RetryDecision.fail(reason=f"status {outcome.status} is permanent")
        if outcome.verdict == "retry" and (wait := outcome.retry_after_seconds):
            return RetryDecision.retry(timedelta(seconds=wait), reason=f"the source asked to wait {wait:g} s")
        return RetryDecision.default()


class DataPipelineOperator(BaseOperator):
    """Runs ``command``, a job's name and its arguments, in the configured place.

    It returns references and counts of the job's fact, also one by one under their names; each outlet's event gets the
    references. It does not defer: docs/orchestration.md says why.
    """

    template_fields: Sequence[str] = ("command",)
    ui_color = "#e8f0f7"

    def __init__(self, *, command: Any, place: str = "", **options: Any) -> None:
        ours = {
            "retry_policy": ByExitStatus(),
            "multiple_outputs": True,
            "map_index_template": LABEL,
        }
        super().__init__(**{**ours, **options})
        self.command = command
        self.place = place

    @property
    def subject(self) -> str:
        """What distinguishes this task from others of its name."""
        return subject_of(self.command or ())

    def execute(self, context: Any) -> dict[str, Any]:
        command: list[str] = list(self.command)
        if not command:
            raise AirflowSkipException("there is nothing to run")
        end_with_parent()
        self.log.info("running: %s", shown(command))
        settings = configuration.load()
        # A submitter creates Jobs itself, and needs the rights that Airflow has; it works little.
        place = "process" if command[0] == "fan_out" else self.place or settings.place
        self._stop = Stop()
        self._context = context
        self._place: ProcessPlace | KubernetesPlace = (
            self._in_kubernetes(command, context, settings)
            if place == "kubernetes"
            else ProcessPlace(shlex.split(settings.program))
        )
        outcome = self._place.run(command)
        if outcome.verdict != "success":
            raise JobFailedError(outcome, command)
        found = references(outcome.fact)
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {name: found[name] for name in NAMED if name in found}
        return found

    def on_kill(self) -> None:
        """Pass the signal on. A Job is deleted only if a person marked the task; a worker's end deletes nothing."""
        place = getattr(self, "_place", None)
        if isinstance(place, ProcessPlace):
            place.stop()
        elif place is not None:
            state = self._state()
            self.log.info("stopped; the task is %s", state or "in an unknown state")
            if state in FINAL_STATES:
                place.cancel()
            self._stop.request()

    def _in_kubernetes(self, command: list[str], context: Any, settings: Settings) -> KubernetesPlace:
        from etl_core.kube.client import connect
        from etl_core.lake import open_store
        from etl_core.retry import Retry, RetryPolicy
        from orchestration.kubernetes import KubernetesPlace
        from orchestration.pods import pod_of

        ti = context["ti"]
        return KubernetesPlace(
            connect(
                settings.namespace,
                default_namespace=settings.namespace,
                retry=Retry(RetryPolicy(), sleep=self._stop.sleep),
                user_agent="data-pipeline-airflow",
            ),
            open_store(settings.lake_url, named=f"[{configuration.SECTION}] lake_url"),
            identity={"dag-run": f"{ti.dag_id} {ti.run_id}", "task": f"{ti.task_id} {ti.map_index}"},
            pod=pod_of(command[0], settings),
            sleep=self._stop.sleep,
            poll_seconds=float(settings.poll_seconds),
        )

    def _state(self) -> str:
        """The state of this task instance, as the API server has it now; empty if it does not say."""
        ti = self._context["ti"]
        try:
            found = ti.get_task_states(
                dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
            )
        except Exception:  # a signal handler: without an answer nothing is deleted
            self.log.exception("the state of the task is unknown, so its Job is left")
            return ""
        states = found.get(ti.run_id) or {}
        return str(next(iter(states.values()), ""))


def report_failure(context: Any) -> None:
    """The failure callback of all tasks: the run's own diagnosis, as the task's last words and as an XCom.

    A notifier is added beside it in a DAG's ``default_args``; it finds the text in ``context["exception"]``.
    """
    ti, exception = context["ti"], context.get("exception")
    text = f"{ti.dag_id}.{ti.task_id} of {ti.run_id} failed for good: {exception}"
    ti.xcom_push(key="diagnosis", value=text[:4000])
    context["task"].log.error(text)
