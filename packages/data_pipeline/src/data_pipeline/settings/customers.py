"""Settings of the CRM's API."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from data_pipeline.settings.addresses import without_credentials


def _as_header(token: SecretStr) -> SecretStr:
    """A token that can stand in a header; a file of a Secret often ends in a line feed."""
    text = token.get_secret_value().strip()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("a token has no blanks, control characters or letters beyond ASCII")
    return SecretStr(text)


class CustomersSettings(BaseModel):
    """Where the CRM is, where its answers have what, and how long it is asked."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    api_base_url: Annotated[str, AfterValidator(without_credentials)] = Field(
        "", description="address of the CRM's API, without a path"
    )
    api_token: Annotated[SecretStr, AfterValidator(_as_header)] = Field(
        SecretStr(""),
        description="bearer token of the CRM's API; give it as a variable or in .env, from a Secret in a pod",
    )
    max_retries: int = Field(5, ge=1, description="tries of a page of customers before it is left as a dead letter")
    records_per_page: int = Field(1000, ge=1, description="customers per page that are asked for")
    api_customers_path: str = Field("/api/v1/customers", pattern="^/", description="path of the list of customers")
    api_rows_field: str = Field("data", min_length=1, description="where an answer has its rows; dots lead inward")
    api_metadata_field: str = Field(
        "metadata", min_length=1, description="where it has page, per_page, total_pages and total; dots lead inward"
    )
    api_id_field: str = Field("id", min_length=1, description="the field of a row that is its id")
    api_first_wait_seconds: float = Field(
        1.0,
        ge=0,
        description="wait before the second try of a page; doubles up to eight times as long, twice after 429",
    )
    api_timeout_seconds: float = Field(
        60.0, ge=0.1, description="seconds without a byte, or at less than 1 kB a second, until a page times out"
    )
    api_max_sweeps: int = Field(3, ge=1, le=9999, description="times that all pages are fetched until they add up")
    api_max_failures: int = Field(
        5, ge=1, description="pages in a row that may fail before no further one is asked for"
    )
