"""The page on use as a library: its code block, exactly as it is written."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "library.md"


def test_the_code_of_the_page_runs_and_prints_only_what_it_prints_itself(world):
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None

    ended = subprocess.run(
        [sys.executable, "-c", block[1]],
        env=dict(world.environment),
        cwd=world.lake.parent,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    (manifest,) = (world.lake.parent / "data").glob("metadata/runs/*/manifest.json")
    committed = json.loads(manifest.read_text())
    assert committed["files_downloaded"] == 5
    assert ended.stdout == f"completed 5 {committed['rows']} None\n"


@pytest.mark.parametrize(
    "world",
    [{"company_rows": {"100000000053": 60_000}, "bytes_per_second": 2e5, "first_companies": None}],
    indirect=True,
)
def test_ctrl_c_in_a_script_drops_the_windows_ends_the_threads_and_leaves_a_lake_to_continue(world):
    """At this pace the window would take five minutes."""
    script = (
        "import signal, threading\n"
        # A shell has what it starts in the background ignore Ctrl-C, and these tests may run there.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from data_pipeline.open_payments.run import Selection, run\n"
        "from data_pipeline.wiring import Services\n"
        "with Services.from_environment() as services:\n"
        "    try:\n"
        "        selection = Selection(dataset='general-payments', year=2024)\n"
        "        run(services, selection, on_start=lambda _: print(flush=True))\n"
        "    except KeyboardInterrupt:\n"
        "        services.stop.check()\n"
        "        print('interrupted', threading.active_count())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**world.environment, "SOURCE_MAX_STREAMS": "2", "SOURCE_TIMEOUT_SECONDS": "600"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    while not [path for path in world.lake.glob(".scratch/*/*") if path.stat().st_size]:
        assert process.poll() is None
        world.source.ledger()  # asks the sandbox, which takes its time
    process.send_signal(signal.SIGINT)

    assert (*process.communicate(timeout=60), process.returncode) == ("interrupted 1\n", "", 0)
    assert not list(world.lake.rglob(".scratch"))
    assert not list(world.lake.glob("raw/dataset=*/**/*.csv"))
    world.source.switch(bytes_per_second=None)
    assert world.pipeline().fact["status"] == "completed"
