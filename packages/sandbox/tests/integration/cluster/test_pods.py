"""Pods as local processes: what they are started with, how they end, what the kubelet says of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sandbox.cluster import Instant

NAMESPACE = "etl"


def alive(pid):
    """Does it run? One that is dead may wait for whoever adopted it to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_process_finds_its_variables_and_a_folder_of_its_own(start, tmp_path):
    bench = start(
        base_environment={"PATH": os.defpath, "LAKE": str(tmp_path)},
        config_maps={"limits": {"ROWS": "10", "TRIES": "3"}},
        secrets={"keys": {"token": "geheim"}},
    )
    code = "import json,os; print(json.dumps([dict(os.environ), os.getcwd(), os.listdir()])); open('x','w').write('y')"
    env = [
        {"name": "PLAIN", "value": "of rows"},
        {"name": "TRIES", "value": "4"},
        {"name": "EMPTY"},
    ]
    sources = [{"configMapRef": {"name": "limits"}}, {"secretRef": {"name": "keys"}}]
    bench.create("a", code, container={"env": env, "envFrom": sources})
    bench.ended("a")
    found, folder, listed = json.loads(bench.log("a"))
    assert listed == []
    assert not Path(folder).exists()
    name = bench.pod("a")["metadata"]["name"]
    assert {key: found.pop(key) for key in ("HOME", "TMPDIR", "HOSTNAME")} == {
        "HOME": folder,
        "TMPDIR": folder,
        "HOSTNAME": name,
    }
    found.pop("LC_CTYPE", None)  # Python's own
    assert found == {
        "PATH": os.defpath,
        "LAKE": str(tmp_path),
        "ROWS": "10",
        "TRIES": "4",
        "token": "geheim",
        "PLAIN": "of rows",
        "EMPTY": "",
    }


def test_a_command_replaces_the_entry_point(bench):
    bench.create(
        "a", container={"image": "registry.test:5000/py@sha256:00", "command": ["echo"], "args": ["$(A)", "b"]}
    )
    bench.ended("a")
    assert bench.log("a") == "$(A) b\n"


def test_the_end_of_a_long_log_is_kept(bench):
    bench.create("a", "for n in range(20000): print(f'line {n:06}')")
    bench.ended("a")
    assert len(bench.log("a").encode()) == 64 * 1024
    assert bench.log("a", tail_lines=2) == "line 019998\nline 019999\n"
    assert bench.log("a", tail_lines=0) == ""


def test_the_end_of_the_log_becomes_the_message_of_a_failure(bench):
    code = "import sys; print('x' * 3000, flush=True); print('the reason', file=sys.stderr); sys.exit(3)"
    fallback = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    bench.create("a", code, backoffLimit=0, container=fallback)
    bench.create("b", code, backoffLimit=0)
    bench.create("c", "print('fine')", container=fallback)
    for name in "abc":
        bench.ended(name)
    ended = bench.state("a")["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert len(ended["message"]) == 2048
    assert "the reason" in ended["message"]
    assert "message" not in bench.state("b")["terminated"]
    assert bench.state("c")["terminated"].keys() >= {"startedAt", "finishedAt"}
    assert (bench.state("c")["terminated"]["reason"], bench.pod("c")["status"]["phase"]) == ("Completed", "Succeeded")


def test_a_pod_is_asked_to_end_and_killed_after_its_grace(bench):
    """A Job of restartPolicy Never tells by its rules with which status a deleted pod ended."""
    ask = "import signal,sys,time; signal.signal(15, {}); print('up', flush=True); time.sleep(600)"
    for name, handler, grace, status in (("a", "lambda *_: sys.exit(4)", 600, 4), ("b", "signal.SIG_IGN", 1, 137)):
        rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [status]}}]
        pod = {"terminationGracePeriodSeconds": grace}
        bench.create(name, ask.format(handler), pod=pod, podFailurePolicy={"rules": rules})
        bench.says(name, "up")
        bench.core.delete_namespaced_pod(bench.pod(name)["metadata"]["name"], NAMESPACE)
        assert bench.ended(name)[-1] == ("Failed", "PodFailurePolicy")
        assert f"failed with exit code {status} matching" in bench.status(name)["conditions"][-1]["message"]
        assert bench.pods(name) == []


def test_what_a_program_started_dies_with_it(bench):
    code = (
        "import subprocess,sys; p=subprocess.Popen([sys.executable,'-c','import time; time.sleep(600)']); print(p.pid)"
    )
    bench.create("a", code)
    bench.ended("a")
    bench.until(lambda: not alive(int(bench.log("a"))))


def test_a_running_pod_is_ready_and_says_since_when(bench):
    bench.create("a", "import time; print('up', flush=True); time.sleep(600)")
    bench.says("a", "up")
    status = bench.pod("a")["status"]
    assert status["phase"] == "Running"
    assert {one["type"] for one in status["conditions"] if one["status"] == "True"} >= {"PodScheduled", "Ready"}
    (container,) = status["containerStatuses"]
    assert (container["ready"], container["started"], container["restartCount"]) == (True, True, 0)
    assert container["state"]["running"]["startedAt"]


def test_a_pod_takes_its_time_to_start(start):
    bench = start(pod_start_seconds=3600)
    bench.create("a")
    bench.until(lambda: bench.state("a"))
    assert bench.pod("a")["status"]["phase"] == "Pending"
    assert bench.state("a") == {"waiting": {"reason": "ContainerCreating"}}
    assert bench.status("a")["active"] == 1
    assert bench.status("a")["ready"] == 0


def test_a_full_node_leaves_pods_unschedulable_until_there_is_room(start):
    bench = start(pods_at_once=1, instant=Instant(seconds=3600))
    bench.create("a")
    bench.until(lambda: bench.status("a").get("ready"))
    bench.create("b")
    bench.until(lambda: bench.pods("b") and bench.pod("b")["status"]["conditions"])
    (condition,) = bench.pod("b")["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "Unschedulable")
    assert "containerStatuses" not in bench.pod("b")["status"]
    bench.delete("a")
    bench.until(lambda: bench.status("b").get("ready"))


def test_an_image_that_is_not_there_is_waited_for_without_end(bench):
    bench.create("a", container={"image": "elsewhere/etl:1"})
    bench.until(lambda: bench.state("a").get("waiting", {}).get("reason") == "ErrImagePull")
    assert bench.pod("a")["status"]["phase"] == "Pending"
    assert 'image "elsewhere/etl:1"' in bench.messages("Failed")[0]
    bench.delete("a")
    bench.until(lambda: bench.pods("a") == [])


@pytest.mark.parametrize(("member", "kind"), [("secretRef", "secret"), ("configMapRef", "configmap")])
def test_a_missing_secret_or_config_map_keeps_the_container_from_being_made(bench, member, kind):
    bench.create("a", container={"envFrom": [{member: {"name": "keys"}}]})
    bench.until(lambda: bench.state("a").get("waiting", {}).get("reason") == "CreateContainerConfigError")
    assert bench.state("a")["waiting"]["message"] == f'{kind} "keys" not found'


def test_a_pod_has_a_deadline_of_its_own(bench):
    bench.create("a", "import time; time.sleep(600)", backoffLimit=0, pod={"activeDeadlineSeconds": 1})
    bench.ended("a")
    status = bench.pod("a")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")


SLEEP = "import time; time.sleep(600)"


def test_the_next_pods_can_be_killed_for_their_memory(bench):
    bench.cluster.fault("oom_killed", count=1)
    bench.create("a", SLEEP, backoffLimit=0)
    bench.ended("a")
    ended = bench.state("a")["terminated"]
    assert (ended["exitCode"], ended["reason"], bench.pod("a")["status"]["phase"]) == (137, "OOMKilled", "Failed")


def test_an_evicted_pod_stays_to_be_looked_at(bench):
    bench.cluster.fault("evicted", count=1)
    ignore = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}
    bench.create("a", SLEEP, podFailurePolicy=ignore)
    bench.until(lambda: len(bench.pods("a")) == 2)
    (status,) = [pod["status"] for pod in bench.pods("a") if pod["status"]["phase"] == "Failed"]
    assert status["reason"] == "Evicted"
    (condition,) = [one for one in status["conditions"] if one["type"] == "DisruptionTarget"]
    assert (condition["status"], condition["reason"]) == ("True", "TerminationByKubelet")


@pytest.mark.parametrize(
    ("how", "reason"), [("disrupted", "EvictionByEvictionAPI"), ("preempted", "PreemptionByScheduler")]
)
def test_a_disrupted_pod_is_asked_to_end_and_then_gone(bench, how, reason):
    code = "import signal,time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    bench.create("a", code, pod={"terminationGracePeriodSeconds": 1}, podReplacementPolicy="Failed")
    bench.says("a", "up")
    name = bench.pod("a")["metadata"]["name"]
    bench.cluster.disrupt(name, how)
    pod = bench.pod("a")
    assert pod["metadata"]["deletionTimestamp"]
    assert [one["reason"] for one in pod["status"]["conditions"] if one["type"] == "DisruptionTarget"] == [reason]
    bench.until(lambda: bench.pods("a") and bench.pod("a")["metadata"]["name"] != name)


def test_only_a_pod_that_is_there_is_disrupted_and_only_in_a_known_way(bench):
    with pytest.raises(LookupError, match="a"):
        bench.cluster.disrupt("a")
    bench.create("a", SLEEP)
    bench.until(lambda: bench.pods("a"))
    with pytest.raises(LookupError, match="drowned"):
        bench.cluster.disrupt(bench.pod("a")["metadata"]["name"], "drowned")


def test_disruption_at_random_strikes_a_share_of_the_pods(start):
    bench = start(instant=Instant(seconds=0.05))
    bench.cluster.fault("disrupted", probability=0.5)
    bench.create("a", completions=20, parallelism=4, backoffLimit=1000)
    assert bench.ended("a")[-1][0] == "Complete"
    assert 0 < bench.cluster.faults()[0]["fired"] < bench.cluster.faults()[0]["seen"]


def test_closing_kills_every_process(start):
    bench = start()
    bench.create("a", "import os,time; print(os.getpid(), flush=True); time.sleep(600)")
    bench.says("a", "\n")
    pid = int(bench.log("a"))
    bench.cluster.close()
    assert not alive(pid)


def a_probe(path="/scratch/alive", **more):
    """A container whose liveness is that a file in its volume is not old."""
    command = ["find", path, "-mmin", "+30", "-exec", "false", "{}", "+"]
    return {
        "livenessProbe": {"exec": {"command": command}, "failureThreshold": 2, **more},
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
        "env": [{"name": "ALIVE", "value": path}],
    }


TOUCH = "import os, pathlib, time; path = pathlib.Path(os.environ['ALIVE']); path.touch(); print('up', flush=True); "


def test_a_container_that_fails_its_liveness_probe_is_ended_and_tried_again(start):
    bench = start(probe_seconds=0.05)
    bench.create("a", TOUCH + "os.utime(path, (0, 0)); time.sleep(100)", container=a_probe(), backoffLimit=1)

    assert bench.ended("a") == [("FailureTarget", "BackoffLimitExceeded"), ("Failed", "BackoffLimitExceeded")]
    assert len(bench.pods("a")) == 2
    (status,) = bench.pods("a")[0]["status"]["containerStatuses"]
    assert status["state"]["terminated"]["exitCode"] == 143
    assert "Container failed liveness probe" in bench.messages("Killing")


def test_a_container_that_gives_a_sign_of_life_is_left_alone(start, tmp_path):
    bench = start(probe_seconds=0.05)
    code = f"while not os.path.exists('{tmp_path}/end'): time.sleep(0.05)"
    bench.create("a", TOUCH + "\n" + code, container=a_probe())
    bench.create("b", "import time; time.sleep(100)", container=a_probe(), backoffLimit=0)
    assert bench.ended("b"), "of the same age, without the file"
    (tmp_path / "end").touch()

    assert bench.ended("a") == [("SuccessCriteriaMet", "CompletionsReached"), ("Complete", "CompletionsReached")]


def test_a_probe_that_does_not_answer_in_time_has_failed(start):
    bench = start(probe_seconds=0.05)
    probe = a_probe(timeoutSeconds=1, exec={"command": ["sleep", "5"]})
    bench.create("a", "import time; time.sleep(100)", container=probe, backoffLimit=0)

    assert bench.ended("a")
