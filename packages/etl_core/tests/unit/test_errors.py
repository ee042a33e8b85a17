import inspect
import re
import unittest

from etl_core import errors
from etl_core.errors import (
    EXIT_STATUSES,
    BlockedError,
    PipelineError,
    StoppedError,
    TemporaryError,
    UnavailableError,
    UnreachableError,
)

ALL = [
    thing
    for thing in vars(errors).values()
    if inspect.isclass(thing) and issubclass(thing, PipelineError) and thing is not PipelineError
]


def drawn() -> dict[str, tuple[str, int]]:
    """The tree in the module's docstring: name to its parent's name and the status on its branch."""
    found: dict[str, tuple[str, int]] = {}
    above: list[str] = []
    status = 0
    assert errors.__doc__ is not None
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ((?:│   |    )*)(├── |└── |)(\w+Error) +(\d*)", line + " ")
        if match is None:
            continue
        indent, fork, name, number = match.groups()
        depth = len(indent) // 4 + bool(fork)
        status = int(number) if number else status
        above[depth:] = [name]
        if depth:
            found[name] = (above[depth - 1], status)
    return found


class ErrorTree(unittest.TestCase):
    def test_the_docstring_draws_the_real_tree(self):
        real = {kind.__name__: (kind.__mro__[1].__name__, kind.exit_status.code) for kind in ALL}
        real["StoppedError"] = ("PipelineError", 130)  # by the signal; its class holds no status of its own
        self.assertEqual(drawn(), real)

    def test_the_exit_statuses_are_these(self):
        self.assertEqual([status.code for status in EXIT_STATUSES], [0, 1, 2, 3, 4, 129, 130, 143])
        self.assertEqual({kind.exit_status.code for kind in ALL if kind is not StoppedError}, {2, 3, 4})

    def test_only_some_temporary_errors_are_retryable(self):
        worth = {kind for kind in ALL if issubclass(kind, TemporaryError) and kind.retryable}
        self.assertEqual(worth, {TemporaryError, UnavailableError, UnreachableError})
        self.assertFalse(BlockedError("x").retryable)


class PipelineErrorCase(unittest.TestCase):
    def test_the_advice_follows_the_message(self):
        self.assertEqual(str(PipelineError("It broke.", advice="Mend it.")), "It broke. Mend it.")
        self.assertEqual(PipelineError("It broke.", advice="Mend it.").args, ("It broke.",))
        self.assertEqual(str(PipelineError("It broke.")), "It broke.")

    def test_details_of_an_error_are_kept(self):
        self.assertEqual(UnavailableError("x", advice="y", retry_after=7.5).retry_after, 7.5)
        self.assertIsNone(UnavailableError("x").retry_after)
        self.assertEqual(StoppedError("x", signal_number=15).signal_number, 15)
