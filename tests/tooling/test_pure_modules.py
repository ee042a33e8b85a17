"""A module that says "Pure" is listed in the contract on imports; a listed one changes only its own locals."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = "modules that make decisions import no client"
MUTATORS = {
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popleft", "popitem",
    "remove", "reverse", "setdefault", "sort", "update",
}  # fmt: skip


def sources():
    for path in sorted(ROOT.glob("packages/*/src/**/*.py")):
        parts = path.relative_to(ROOT).parts[3:]
        yield ".".join(parts).removesuffix(".py").removesuffix(".__init__"), ast.parse(path.read_text())


def listed():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return next(set(one["source_modules"]) for one in contracts if one["name"] == CONTRACT)


def root_of(node):
    """The name that an attribute or an item belongs to: ``a`` of ``a.b[0].c``."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def targets_of(node):
    if isinstance(node, ast.Assign | ast.Delete):
        return node.targets
    return [node.target] if isinstance(node, ast.AugAssign | ast.AnnAssign) else []


def shared_names(tree):
    """Names of the module and of parameters: what a pure function must not change."""
    module = {target.id for one in tree.body for target in targets_of(one) if isinstance(target, ast.Name)}
    return module | {one.arg for one in ast.walk(tree) if isinstance(one, ast.arg)}


def mutations(tree):
    """Statements and calls that change something others see."""
    shared = shared_names(tree)
    for node in ast.walk(tree):
        changed = [one for one in targets_of(node) if isinstance(one, ast.Attribute | ast.Subscript)]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            changed = [node.func]
        if isinstance(node, ast.Global) or any(root_of(one) in shared for one in changed):
            yield ast.unparse(node)


def test_every_module_that_says_it_is_pure_is_listed():
    pure = {name for name, tree in sources() if re.search(r"\bPure\b", ast.get_docstring(tree) or "")}

    assert not pure - listed(), f"add these to the contract {CONTRACT!r} in pyproject.toml"


def test_listed_modules_change_neither_arguments_nor_module_state():
    trees = {name: tree for name, tree in sources() if name in listed()}

    assert trees.keys() == listed()
    assert {name: found for name, tree in trees.items() if (found := list(mutations(tree)))} == {}


@pytest.mark.parametrize(
    "code",
    [
        "def f(a): a.b = 1",
        "def f(a): a['b'] += 1",
        "def f(a): del a[0]",
        "def f(a): a.b.append(1)",
        "SEEN = set()\ndef f(a): SEEN.add(a)",
        "COUNT = 0\ndef f():\n    global COUNT\n    COUNT = 1",
        "class A:\n    def f(self): self.b = 1",
    ],
)
def test_a_change_that_others_see_is_found(code):
    assert len(list(mutations(ast.parse(code)))) == 1


def test_changing_local_names_is_allowed():
    code = "ALL = {}\ndef f(a):\n    found = dict(ALL)\n    found['b'] = a\n    found.update(a)\n    return found"

    assert list(mutations(ast.parse(code))) == []
