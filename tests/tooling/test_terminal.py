"""tools/terminal.py: what a terminal showed becomes a picture that moves."""

import re
import sys

from tools import terminal

PIECES = [
    "$ build\r\n",
    "\r\x1b[2K\x1b[32m*\x1b[0m 10%",
    "\r\x1b[2K* 90%",
    "\r\x1b[2K\r\n\x1b[1A",
    "built <1> & more\r\n",
]


def test_a_line_that_is_cleared_or_written_again_shows_what_came_last():
    assert list(terminal.screens(PIECES))[-3:] == [
        ("$ build", "* 90%"),
        ("$ build", "", ""),
        ("$ build", "built <1> & more", ""),
    ]


def test_of_many_screens_with_as_many_lines_some_are_chosen_and_of_those_that_only_grow_the_last():
    bars = [f"\x1b[2K{percent}%" for percent in range(10, 100, 10)]
    frames = terminal.chosen(terminal.screens(["$ build\r\n", *bars, "\x1b[2K", "done\r\n", "ok\r\n"]))
    assert [one[1:] for one in frames] == [(), ("20%",), ("50%",), ("80%",), ("done", "ok")]


def test_the_picture_has_every_screen_in_its_colours_and_text_is_escaped():
    picture = terminal.picture(terminal.chosen(terminal.screens(PIECES)))
    assert len(re.findall(r"<g id=", picture)) == 4
    assert "built &lt;1&gt; &amp; more" in picture
    assert re.search(r'fill="#[0-9a-f]{6}">\*</text>', picture)
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")


def test_a_program_sees_a_terminal(tmp_path):
    asks = "import os, sys; print(sys.stdout.isatty(), os.get_terminal_size().columns, os.environ['A'])"
    said = "".join(terminal.output([sys.executable, "-c", asks], tmp_path, {"A": "b"}))
    assert said == f"True {terminal.COLUMNS} b\r\n"
