"""``python -m benchmarks [NAME …]``."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

# What a module without ``main`` offers is shared by the others.
NAMES = sorted(one.stem for one in Path(__file__).parent.glob("[!_]*.py") if "\ndef main(" in one.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side-by-side measurements.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}; all by default")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    for name in arguments.names or NAMES:
        rows = importlib.import_module(f"benchmarks.{name}").main()
        if arguments.json:
            for row in rows:
                print(json.dumps({"benchmark": name, **row}), flush=True)
            continue
        print(f"\n{name}")
        widths = {key: max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}
        for row in ({key: key for key in widths}, *rows):
            print("  " + "  ".join(f"{row[key]!s:>{width}}" for key, width in widths.items()), flush=True)


if __name__ == "__main__":
    main()
