"""The policies as Terraform applies them, filled in without Terraform: the templates are the one source."""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TERRAFORM = ROOT / "terraform"
IDENTITY = TERRAFORM / "modules" / "identity" / "policies"
ACCOUNT = "123456789012"
AGENCY_SOURCE = "agency-documents"
GLUE = f"arn:aws:glue:us-east-1:{ACCOUNT}"
DATABASE = "data_pipeline_dev"
# As the module platform says.
PUBLISHER = "describe"


def filled(template: Path, **values: str) -> Any:
    """A template as ``templatefile`` fills it, read as JSON; a name without a value fails, as there."""
    text = re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], template.read_text(encoding="utf-8"))
    return json.loads(text)


def roles() -> dict[str, dict[str, Any]]:
    """Every role with its policies and who may take it on."""
    found: dict[str, dict[str, Any]] = json.loads((IDENTITY / "roles.json").read_text(encoding="utf-8"))
    return found


def policy(name: str, bucket: str) -> Any:
    arns = {"bucket_arn": f"arn:aws:s3:::{bucket}", "agency_source_arn": f"arn:aws:s3:::{AGENCY_SOURCE}"}
    return filled(IDENTITY / f"{name}.json.tftpl", **arns)


def policies_of(role: str, bucket: str) -> dict[str, Any]:
    """With the one that the module catalogue attaches."""
    own = {name: policy(name, bucket) for name in roles()[role]["policies"]}
    return {**own, "publish": publish_policy()} if role == PUBLISHER else own


def publish_policy() -> Any:
    arns = {"catalog_arn": "catalog", "database_arn": f"database/{DATABASE}", "tables_arn": f"table/{DATABASE}"}
    template = TERRAFORM / "modules" / "catalogue" / "policies" / "publish.json.tftpl"
    return filled(template, **{name: f"{GLUE}:{what}" for name, what in arns.items()})


def arn_of(role: str) -> str:
    """As the module identity names it."""
    return f"arn:aws:iam::{ACCOUNT}:role/data-pipeline-dev-{role.replace('_', '-')}"


def bucket_policy(bucket: str) -> Any:
    may = {"overwriters": json.dumps([arn_of("overwrite")]), "collectors": json.dumps([arn_of("collect")])}
    template = TERRAFORM / "modules" / "lake" / "policies" / "bucket.json.tftpl"
    return filled(template, bucket_arn=f"arn:aws:s3:::{bucket}", **may)
