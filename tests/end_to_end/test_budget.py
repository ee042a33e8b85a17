"""One ceiling towards the source for all processes of a machine, kept and recovered without a second storm."""

import pytest

COMPANIES = [str(100000000101 + number) for number in range(16)]
MANY = {"company_rows": dict.fromkeys(COMPANIES, 400), "first_companies": None, "latency_seconds": 0.05}


def run_at_once(world, companies, **environment):
    """One process per company, each with a TMPDIR of its own, as one that `make` or a scheduler starts has."""
    processes = []
    for company in companies:
        words = ("download_company", "--", "--year", "2024", "--company-id", company)
        own = world.lake.parent / f"tmp-{company}"
        own.mkdir()
        processes.append(world.start(*words, TMPDIR=str(own), **environment))
    ended = [(process.communicate(timeout=120), process.returncode) for process in processes]
    return [status for _, status in ended], "\n".join(stderr for (_, stderr), _ in ended)


@pytest.mark.parametrize("world", [MANY], indirect=True, ids=["16 companies"])
def test_eight_processes_share_one_limit_of_requests(world):
    statuses, stderr = run_at_once(world, COMPANIES[:8], SOURCE_MAX_STREAMS="3")
    assert statuses == [0] * 8, stderr
    summary = world.source.summary()
    assert summary["max_concurrent"] <= 3
    assert summary["max_concurrent"] >= 2, "the processes were never at it at the same time"
    world.assert_equals_truth()


@pytest.mark.parametrize("world", [{**MANY, "retry_after_form": form} for form in ("seconds", "date")], indirect=True)
def test_a_retry_after_received_by_one_process_holds_all_processes(world):
    # The date form has whole seconds: a hold of two is at least one.
    world.source.fault("http_429", count=3, after=12, params={"retry_after": 2})
    statuses, stderr = run_at_once(world, COMPANIES[:8], SOURCE_MAX_STREAMS="8")
    assert statuses == [0] * 8, stderr
    ledger = world.source.ledger()
    storms = [one for one in ledger if one["status"] == 429]
    assert len(storms) == 3, "recovery brought a second storm"
    # What was under way when the answer came may still arrive: a quarter of a second is left to it.
    holds = [(one["ended"] + 0.25, one["ended"] + 0.9) for one in storms]
    early = [one for one in ledger if any(begin < one["started"] < end for begin, end in holds)]
    assert not early, "somebody asked before the moment the source named"
    world.assert_equals_truth()


@pytest.mark.parametrize("world", [MANY], indirect=True, ids=["16 companies"])
def test_a_block_received_by_one_process_stops_the_others(world):
    world.source.fault("waf_403", after=40)  # by then all of them are at work
    statuses, stderr = run_at_once(world, COMPANIES[:8], SOURCE_MAX_STREAMS="2")
    assert set(statuses) <= {0, 4}, stderr
    assert 4 in statuses
    # Two streams may be under way when the first learns of it; no process asks after that.
    assert world.source.summary()["by_fault"]["waf_403"] <= 2
