"""The way to a cluster in docs/operations-aws.md, word for word, with recorders in place of what reaches an account."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = Path(__file__).parent / "outputs.json"
DIGEST = "sha256:" + "ab" * 32
# An output is there only for who stands in, or points at, the environment; that is how the page was wrong once.
TERRAFORM = """
case "$1" in -chdir=terraform/environments/*) cd "${1#-chdir=}" && shift;; esac
[ -e versions.tf ] || exit 1
case "$2" in
  -json) cat "$OUTPUTS";;
  -raw) "$PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]]["value"])' "$OUTPUTS" "$3";;
esac
"""
FAKES = {
    "terraform": TERRAFORM,
    "aws": f'case "$2" in describe-images) echo {DIGEST};; *) echo token;; esac',
    "docker": 'case "$1" in build) [ -e docker/data-pipeline.Dockerfile ];; login) cat >/dev/null;; esac',
    "kubectl": '[ -e "$3/kustomization.yaml" ]',
    "make": "mkdir -p .venv/bin && ln -s $PYTHON .venv/bin/python",
}


def test_the_way_to_a_cluster_works_from_the_root_as_it_is_written(tmp_path):
    page = (ROOT / "docs" / "operations-aws.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- cluster:begin -->\n```\n(.+?)```\n<!-- cluster:end -->", page, re.DOTALL)
    assert block is not None
    checkout, programs, calls = tmp_path / "checkout", tmp_path / "bin", tmp_path / "calls"
    for part in ("k8s", "tools", "docker", "terraform/environments/dev"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns(".terraform", "__pycache__"))
    programs.mkdir()
    for name, does in FAKES.items():
        (programs / name).write_text(f'#!/bin/bash\necho "{name} $*" >>"$CALLS"\n{does}\n')
        (programs / name).chmod(0o755)
    environment = os.environ | {"OUTPUTS": str(OUTPUTS), "PYTHON": sys.executable, "CALLS": str(calls)}
    environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block[1]], cwd=checkout, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    repository = json.loads(OUTPUTS.read_text())["image_repository"]["value"]
    assert f"image: {repository}@{DIGEST}" in (checkout / "k8s/overlays/eks/generated.yaml").read_text()
    said = calls.read_text()
    assert f"docker login --username AWS --password-stdin {repository.partition('/')[0]}\n" in said
    assert f"--repository-name {repository.partition('/')[2]} " in said
    assert "aws eks update-kubeconfig --name data-pipeline-dev\n" in said
    assert said.splitlines()[-1] == "kubectl apply -k k8s/overlays/eks"
