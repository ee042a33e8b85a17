"""Settings that every job has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _lowered(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class CommonSettings(BaseModel):
    """The lake, the run, the log, and how a job ends."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    lake_url: str = Field("./data", description="where the lake is: a folder, file:///… or s3://bucket/prefix")
    s3_bucket: str = Field(
        "",
        pattern="^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$",
        description="a bucket as the lake, where LAKE_URL names none; both must name the same",
    )
    run_id: str = Field(
        "",
        description="name of the run; NAME-2 and so on where that one is over. "
        "Default: the unfinished run of the selection, else the start time in UTC",
    )
    job_completion_index: int = Field(
        -1, ge=-1, description="index of this pod in an Indexed Job; Kubernetes sets it, fan_out_worker reads it"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="log format; auto is console on a terminal, else json"
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lowered)] = Field(
        "info", description="lowest level that is logged"
    )
    term: str = Field("", description="kind of terminal; dumb gets lines in place of a bar")
    no_color: str = Field("", description="any value turns colours on the terminal off")
    # Shorter than the 30 s that Docker and Kubernetes give before they kill.
    grace_seconds: float = Field(
        25.0, ge=0, description="seconds that windows in progress get to finish after SIGTERM or Ctrl-C"
    )
    heartbeat_file: str = Field(
        "", description="a file that is touched while work advances, for a probe that ends a process that hangs"
    )
    xdg_cache_home: str = Field(
        "", description="cache folder of the user, where the limit of requests is kept. Default: ~/.cache"
    )
    xdg_runtime_dir: str = Field("", description="runtime folder of the user, used where the cache folder cannot be")
