"""Settings of the Open Payments source."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from data_pipeline import __version__
from data_pipeline.settings.addresses import without_credentials


class OpenPaymentsSettings(BaseModel):
    """Where CMS Open Payments is, and how hard it may be asked."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    open_payments_url: Annotated[str, AfterValidator(without_credentials)] = Field(
        "https://openpaymentsdata.cms.gov", description="address of the source; the sandbox prints its own"
    )
    open_payments_user_agent: str = Field(
        # The site's edge answers some unknown user agents with 403; one that ends in the library's name passes, and
        # is true.
        f"openpayments-data-pipeline/{__version__} python-requests",
        pattern=r"^[ -~]+$",
        description="User-Agent header sent to the source",
    )
    # Users report 15 to 39 MB/s with 8 streams and no more with 16.
    source_max_streams: int = Field(8, ge=1, description="concurrent requests to the source, for the whole run")
    # Unindexed queries take up to 65 s before their first byte; ours are indexed and take 1 to 3.
    source_timeout_seconds: float = Field(
        60.0, ge=0.1, description="seconds without a byte, or at less than 1 kB a second, until a request times out"
    )
    source_attempts: int = Field(6, ge=1, description="attempts of a request or a window before it counts as failed")
    source_first_wait_seconds: float = Field(
        0.5, ge=0, description="wait before the second attempt; doubles with each further one, up to 60"
    )
