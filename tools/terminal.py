"""A command on a terminal, as a moving picture: what its screen showed, as an SVG that loads nothing."""

from __future__ import annotations

import contextlib
import fcntl
import html
import itertools
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

Screen = tuple[str, ...]
COLUMNS, ROWS = 120, 40
# What moves the cursor or clears a line; colours stay in the lines.
CONTROL = re.compile(r"(\r\n|\r|\x1b\[2K|\x1b\[1A|\x1b\[\?25[lh])")
EACH_SECONDS, LAST_SECONDS = 1.0, 8.0
WIDTH, HEIGHT, MARGIN = 8.4, 19, 16  # of a character and of the border, in pixels
BACKGROUND, FOREGROUND = "#1b1f27", "#d8dee9"


def output(words: Sequence[str], folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """What a command writes to a terminal, piece by piece; CalledProcessError if it fails."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**environment, "TERM": "xterm-256color"}
    with subprocess.Popen(words, cwd=folder, env=environment, stdin=its, stdout=its, stderr=its) as process:
        os.close(its)
        with contextlib.suppress(OSError):  # Linux says so when the terminal is closed
            while piece := os.read(ours, 65536):
                yield piece.decode(errors="replace")
        os.close(ours)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(words))


def screens(pieces: Iterable[str]) -> Iterator[Screen]:
    """The screen after every piece."""
    lines, row = [""], 0
    for piece in pieces:
        for part in CONTROL.split(piece):
            if part == "\r\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif part == "\x1b[1A":
                row -= 1
            elif part == "\x1b[2K":
                lines[row] = ""
            elif not CONTROL.fullmatch(part):
                lines[row] += part
        yield tuple(lines)


def chosen(shown: Iterable[Screen], of_each: int = 3) -> list[Screen]:
    """The first and the last screen, and between them some for each number of lines, none that the next continues."""
    first, *others = dict.fromkeys(_trimmed(one) for one in shown)
    moving = [one for one, after in itertools.pairwise(others) if after[: len(one)] != one]
    frames = [first]
    for _, group in itertools.groupby(moving, key=len):
        some = list(group)
        step = -(-len(some) // of_each)
        frames += some[step // 2 :: step]
    return [*frames, others[-1]]


def _trimmed(screen: Screen) -> Screen:
    used = max((number for number, line in enumerate(screen, 1) if line), default=0)
    return screen[:used]


def picture(frames: Sequence[Screen]) -> str:
    """An SVG that shows one screen after the other, and keeps the last one for longer."""
    rows = max(len(one) for one in frames)
    width, height = round(COLUMNS * WIDTH + 2 * MARGIN), rows * HEIGHT + 2 * MARGIN
    seconds = EACH_SECONDS * (len(frames) - 1) + LAST_SECONDS
    rules, groups = [], []
    for number, frame in enumerate(frames):
        begin, end = number * EACH_SECONDS / seconds, (number + 1) * EACH_SECONDS / seconds
        until = "" if number == len(frames) - 1 else f" {end:.2%} {{ opacity: 0 }}"
        # Where nothing moves, the last one is seen.
        rules.append(f"@keyframes f{number} {{ 0% {{ opacity: 0 }} {begin:.2%} {{ opacity: 1 }}{until} }}")
        rules.append(f"#f{number} {{ animation: f{number} {seconds:g}s step-end infinite }}")
        hidden = "" if number == len(frames) - 1 else ' opacity="0"'
        groups.append(f'<g id="f{number}"{hidden}>{"".join(_line(*one) for one in enumerate(frame))}</g>')
    style = "text { font: 14px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace }"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" fill="{FOREGROUND}">\n'
        f"<style>{style}\n@media (prefers-reduced-motion: no-preference) {{\n{chr(10).join(rules)}\n}}</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>\n{chr(10).join(groups)}\n</svg>\n'
    )


def _line(row: int, line: str) -> str:
    """A line of a screen; each stretch of one style has its place, whatever font there is."""
    parts, column = [], 0
    for segment in Text.from_ansi(line).render(Console(width=1000), end=""):
        if text := segment.text.rstrip():
            style = segment.style
            fill = f' fill="{style.color.get_truecolor(MONOKAI).hex}"' if style and style.color else ""
            bold = ' font-weight="bold"' if style and style.bold else ""
            x = MARGIN + (column + len(segment.text) - len(segment.text.lstrip())) * WIDTH
            shown = text.lstrip()
            place = f'x="{x:.1f}" y="{MARGIN + (row + 0.75) * HEIGHT:.1f}" textLength="{len(shown) * WIDTH:.1f}"'
            parts.append(f'<text {place} xml:space="preserve"{fill}{bold}>{html.escape(shown)}</text>')
        column += len(segment.text)
    return "".join(parts)
