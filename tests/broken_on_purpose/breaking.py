"""Breaks one check in the source: finds its function by name, and in it the only place that mentions some words.

A break is ``PLACE WORD …`` or ``PLACE WORD … -> CODE``. A word is a name, a dotted name, a string or a comparison's
operator. Of places within one another the outer one is meant. All other lines stay as they are. Places, and what they
become where no code is given:

- ``if``: what an ``if`` tests becomes ``False``. What the ``if`` raises counts as mentioned, too.
- ``operand``: what ``and``, ``or`` or a comprehension's ``if`` combines is left out.
- ``argument``: a keyword argument or a dictionary's entry is left out.
- ``statement``: becomes ``pass``.
- ``name``: a name or a literal; needs code.
"""

from __future__ import annotations

import ast
import builtins
from difflib import get_close_matches
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Code: TypeAlias = ast.expr | ast.stmt | ast.keyword
OPERATORS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


class NoPlaceError(Exception):
    """A check has not exactly one place in the code; the message says what to write in ``checks.toml``."""

    def __init__(self, found: str, write: str) -> None:
        super().__init__(f"{found}. Write in checks.toml {write}")


class Place(NamedTuple):
    """Code from the start of ``first`` to the end of ``last``, in ``owner``."""

    kind: str
    owner: ast.AST
    words: set[str]
    first: Code
    last: Code
    default: str


def located(packages: Path, function: str) -> tuple[Path, ast.AST]:
    """The file and the syntax tree of a function."""
    functions = functions_of(packages)
    found = [name for name in functions if f".{name}".endswith(f".{function}")]
    if len(found) != 1:
        tails = {".".join(name.split(".")[-1 - function.count(".") :]) for name in functions}
        alike = found or get_close_matches(function, sorted(tails), n=5, cutoff=0)
        raise NoPlaceError(f"{len(found)} functions are called {function}", f"which one: {', '.join(alike)}")
    return functions[found[0]]


@cache
def functions_of(packages: Path) -> dict[str, tuple[Path, ast.AST]]:
    """Every function of every package, by its full name."""

    def below(node: ast.AST, name: str) -> Iterator[tuple[str, ast.AST]]:
        for child in ast.iter_child_nodes(node):
            match child:
                case ast.FunctionDef(name=own) | ast.ClassDef(name=own):
                    yield f"{name}.{own}", child
                    yield from below(child, f"{name}.{own}")
                case ast.AnnAssign(target=ast.Name(id=own)) | ast.Assign(targets=[ast.Name(id=own)]):
                    yield f"{name}.{own}", child
                case _:
                    yield from below(child, name)

    found: dict[str, tuple[Path, ast.AST]] = {}
    for path in packages.glob("*/src/**/*.py"):
        module = ".".join(path.relative_to(packages).with_suffix("").parts)
        found |= {name: (path, function) for name, function in below(ast.parse(path.read_bytes()), module)}
    return found


def mirrors_of(packages: Path, path: Path) -> list[Path]:
    """The test files that mirror a module, and behind them those of its folder and of the folder as one module.

    Unit tests come first: most fail there, within a second.
    """
    package, _, _, *folders, module = path.relative_to(packages).parts
    tests = packages / package / "tests"
    found = [*tests.glob("/".join(["*", *folders, "test_*.py"]))]
    found += tests.glob("/".join(["*", *folders[:-1], f"test_{(folders or [module])[-1]}.py"]))
    return sorted(found, key=lambda file: (file.name != f"test_{module}", "unit" not in file.parts, file))


def broken(path: Path, function: ast.AST, how: str) -> str:
    """The text of the file with one place in the function broken."""
    selector, _, code = how.partition(" -> ")
    place = the_place(function, selector)
    if unknown := unknown_names(code, function):
        raise NoPlaceError(f"`{code}` uses {unknown}, which the function does not", "code that it can run.")
    code = code or place.default
    if code in {"", ast.unparse(place.first)}:
        raise NoPlaceError(f"`{how}` changes nothing", "other code after the arrow.")
    source = path.read_bytes()
    starts = [0, *accumulate(map(len, source.splitlines(keepends=True)))]
    start = starts[place.first.lineno - 1] + place.first.col_offset
    end = starts[(place.last.end_lineno or 0) - 1] + (place.last.end_col_offset or 0)
    return (source[:start] + code.encode() + source[end:]).decode()


def the_place(function: ast.AST, selector: str) -> Place:
    """The only outermost place of a kind that mentions all words."""
    kind, *words = selector.split()
    places = [place for node in ast.walk(function) for place in places_of(node) if place.kind == kind]
    fitting = [place for place in places if place.words.issuperset(words)]
    inner = {node for place in fitting for node in [*ast.walk(place.owner)][1:]}
    found = [place for place in fitting if place.owner not in inner]
    if len(found) != 1:
        there = "".join(f"\n- {ast.unparse(place.first)}" for place in found or places)
        raise NoPlaceError(f"`{selector}` fits {len(found)} places", f"words that only one of these mentions:{there}")
    return found[0]


def places_of(node: ast.AST) -> Iterator[Place]:
    """What of a node may be broken."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test):
            raised = [one for one in ast.iter_child_nodes(node) if isinstance(one, ast.Raise)]
            yield Place("if", node, words_of(test, *raised), test, test, "False")
        case ast.comprehension(ifs=parts) | ast.BoolOp(values=parts):
            neutral = str(not isinstance(getattr(node, "op", None), ast.Or))
            yield from (Place("operand", one, words_of(one), one, one, neutral) for one in parts)
        case ast.Dict(keys=keys, values=values):
            entries = [(key, value) for key, value in zip(keys, values, strict=True) if key]
            yield from (Place("argument", key, words_of(key), key, value, "**{}") for key, value in entries)
        case ast.keyword(arg=str(name)):
            yield Place("argument", node, {name}, node, node, "**{}")
        case ast.Expr() | ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.Raise():
            yield Place("statement", node, words_of(node), node, node, "pass")
        case ast.Name() | ast.Attribute() | ast.Constant():
            yield Place("name", node, {ast.unparse(node)}, node, node, "")


def unknown_names(code: str, function: ast.AST) -> set[str]:
    """Names that code uses and neither it nor the function has: a NameError would pass for a check that is noticed."""
    nodes = [*ast.walk(ast.parse(code))]
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    return {node.id for node in nodes if isinstance(node, ast.Name)} - own - words_of(function) - set(dir(builtins))


def words_of(*nodes: ast.AST) -> set[str]:
    """What code mentions."""
    found: set[str] = set()
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        match node:
            case ast.Name(id=name) | ast.Constant(value=str(name)) | ast.keyword(arg=str(name)):
                found.add(name)
            case ast.Attribute(attr=name):
                found |= {name, ast.unparse(node)}
            case ast.Compare(ops=operators):
                found |= {OPERATORS.get(type(one), "") for one in operators}
    return found
