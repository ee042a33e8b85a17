"""Settings: those common to all jobs, and a section per domain. A field's name in capitals is its environment variable.

Only ``environment`` reads the environment; the other modules say what the values mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr, ValidationError

from data_pipeline.settings.agency_files import AgencyFilesSettings
from data_pipeline.settings.common import CommonSettings
from data_pipeline.settings.customers import CustomersSettings
from data_pipeline.settings.lakehouse import LakehouseSettings
from data_pipeline.settings.open_payments import OpenPaymentsSettings
from etl_core.errors import ConfigError
from etl_core.printable import without_password

if TYPE_CHECKING:
    from collections.abc import Mapping


class Settings(AgencyFilesSettings, CustomersSettings, OpenPaymentsSettings, LakehouseSettings, CommonSettings):
    """All settings of all jobs. Credentials of AWS are not among them: boto3 reads its own ``AWS_*``."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, object], *, origins: Mapping[str, str] | None = None) -> Settings:
        """Settings from values by variable name; ``origins`` says where each came from, for error messages.

        Raises:
            ConfigError: names the setting, where it came from and what is wrong with it.

        """
        given = {name: values[name.upper()] for name in cls.model_fields if name.upper() in values}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            wrong = error.errors()[0]
            name = str(wrong["loc"][0]).upper()
            where = f" (from {origins[name]})" if origins and name in origins else ""
            is_secret = isinstance(cls.model_fields[name.lower()].default, SecretStr)
            shown = "…" if is_secret else without_password(values[name])
            why = wrong["msg"].removeprefix("Value error, ")
            # Without its cause, which holds the whole value.
            raise ConfigError(f"{name}={shown!r}{where}: {why}.", advice="Correct it or leave it out.") from None
