"""``python -m benchmarks [NAME …]``."""

from __future__ import annotations

import argparse
import importlib
import json

NAMES = ("startup", "download", "memory", "windows", "upload", "fan_out", "lifted", "paging", "runs")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side-by-side measurements.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there is {', '.join(NAMES)}")
    for name in arguments.names or NAMES:
        rows = importlib.import_module(f"benchmarks.{name}").main()
        if arguments.json:
            for row in rows:
                print(json.dumps({"benchmark": name, **row}))
            continue
        print(f"\n{name}")
        widths = {key: max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}
        print("  " + "  ".join(f"{key:>{width}}" for key, width in widths.items()))
        for row in rows:
            print("  " + "  ".join(f"{row[key]!s:>{width}}" for key, width in widths.items()), flush=True)


if __name__ == "__main__":
    main()
