"""etl_core's source names no job's flag, no setting, no product and no term of a domain."""

from __future__ import annotations

import re
from pathlib import Path

import click

from data_pipeline.registry import Registry
from data_pipeline.settings import Settings

SOURCES = sorted((Path(__file__).parents[2] / "packages/etl_core/src").rglob("*.py"))
PRODUCTS = (
    "openpayments",
    "open payments",
    "open_payments",
    "data-pipeline",
    "data_pipeline",
    "cms",
    "sandbox",
    "dkan",
)
# The verb "to release" is one of them: resources are freed or closed.
TERMS = (
    "payer", "company", "companies", "slice", "slices", "release", "releases", "window", "windows", "payment",
    "payments", "recipient", "distribution", "program year", "fan-out", "fan_out", "submitter", "audit", "audits",
    "manifest", "generation", "customer", "customers", "agency", "crm",
)  # fmt: skip


def flags() -> set[str]:
    registry = Registry()
    commands = [getattr(registry.load(name).module, "command", None) for name in registry.names()]
    parameters = [one for command in commands if isinstance(command, click.Command) for one in command.params]
    return {option for one in parameters for option in (*one.opts, *one.secondary_opts) if option.startswith("--")}


def findings(words: set[str], text: str) -> set[str]:
    """The words that the text holds as words, not as parts of longer ones."""
    found = {word for word in words if word in text}
    return {word for word in found if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)}


def test_the_words_are_found_in_text_that_holds_them():
    assert "--memory" in flags()
    assert findings({"--memory", "company"}, "raise --memory for a company") == {"--memory", "company"}
    assert findings({"--memory", "company"}, "--memory-limit of accompanying") == set()


def test_no_module_of_etl_core_names_a_flag_a_setting_a_product_or_a_domain():
    options = flags()
    settings = {name.upper() for name in Settings.model_fields} - {"NO_COLOR"}  # of every terminal program
    found = {}
    for path in SOURCES:
        name = path.as_posix().partition("/src/")[2]
        text = path.read_text(encoding="utf-8")
        found[name] = findings(options | settings, text) | findings({*PRODUCTS, *TERMS}, text.lower())
    assert {name: words for name, words in found.items() if words} == {}
