"""Frozen settings. Each field's name in capitals is its environment variable.

Reading the environment is ``wiring``'s; this module only knows what the values mean.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from data_pipeline import __version__
from etl_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


_CREDENTIALS = re.compile(r"//[^/@]*@")


def _without_credentials(url: str) -> str:
    if _CREDENTIALS.search(url):
        raise ValueError("a name or password would stand in every audit; requests takes them from ~/.netrc")
    return url


class Settings(BaseModel):
    """All settings of all jobs; credentials are not among them (boto3 reads its own ``AWS_*``)."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    open_payments_url: Annotated[str, AfterValidator(_without_credentials)] = Field(
        "https://openpaymentsdata.cms.gov", description="where the source is; the sandbox prints its own address"
    )
    open_payments_user_agent: str = Field(
        # The site's edge refuses some unfamiliar names with 403; one that ends in that of the
        # library is let through, and is the truth.
        f"openpayments-data-pipeline/{__version__} python-requests",
        pattern=r"^[ -~]+$",
        description="how we introduce ourselves to the source",
    )
    lake_url: str = Field("./data", description="where the lake is: a folder, file:///…, or s3://bucket/prefix")
    # Users report 15 to 39 MB/s with 8 streams and no more with 16.
    source_max_streams: int = Field(8, ge=1, description="concurrent requests to the source, for the whole run")
    # Unindexed queries take up to 65 s before their first byte; ours are indexed and take 1 to 3.
    source_timeout_seconds: float = Field(
        60.0, ge=0.1, description="seconds without a byte after which a request is given up"
    )
    source_attempts: int = Field(6, ge=1, description="tries of a request or a window before it counts as failed")
    source_first_wait_seconds: float = Field(
        0.5, ge=0, description="wait before the second try; doubles with each further one, up to 60"
    )
    run_id: str = Field(
        "",
        description="name of the run, NAME-2 and so on where that is over; by default the unfinished one, "
        "or its start in UTC",
    )
    job_completion_index: int = Field(
        -1, ge=-1, description="which pod of an Indexed Job this is; Kubernetes sets it, and fan_out_worker reads it"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="how logs look: auto is console on a terminal, else json"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level of log lines")
    no_color: str = Field("", description="with any value, no colours on the terminal")
    # Shorter than the 30 s that Docker and Kubernetes give before they kill.
    grace_seconds: float = Field(
        25.0, ge=0, description="seconds that windows under way get to finish after SIGTERM or Ctrl-C"
    )

    @classmethod
    def from_mapping(cls, values: Mapping[str, str], *, said_in: Mapping[str, str] | None = None) -> Settings:
        """Settings from environment-like text; ``said_in`` names where each came from, for error messages.

        Raises:
            ConfigError: names the setting, where it came from and what is wrong with it.

        """
        given = {name: values[name.upper()] for name in cls.model_fields if values.get(name.upper(), "") != ""}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            wrong = error.errors()[0]
            name = str(wrong["loc"][0]).upper()
            where = f" (from {said_in[name]})" if said_in and name in said_in else ""
            shown, why = _CREDENTIALS.sub("//…@", values[name]), wrong["msg"].removeprefix("Value error, ")
            # Without its cause, which holds the value whole.
            raise ConfigError(f"{name}={shown!r}{where}: {why}.", advice="Correct it or leave it out.") from None
