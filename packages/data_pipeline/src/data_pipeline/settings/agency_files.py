"""Settings of the agency files."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class AgencyFilesSettings(BaseModel):
    """Where the database is that lists them."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    database_url: SecretStr = Field(
        SecretStr("sqlite:///data/agency_files.db"),
        description="the database that lists an agency's files: postgresql://user:password@host/name or sqlite:///path",
    )
