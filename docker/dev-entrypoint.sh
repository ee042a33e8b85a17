#!/bin/sh
# For developers: run the mounted sources instead of the wheels in the image.
#
#     docker run --rm -it --user "$(id -u):$(id -g)" -v .:/app -e HOME=/tmp \
#         --entrypoint /app/docker/dev-entrypoint.sh etl-data-pipeline run run_pipeline -- --year 2024 --dry-run
#
# If docker/requirements or a pyproject.toml have changed, dependencies missing in the image are installed into
# /tmp/dev; SKIP_INSTALL=1 skips that. `sh` as the first argument starts a shell.
set -eu

sources=${SOURCES:-/app}
place=${DEV_PLACE:-/tmp/dev}

[ -d "$sources/packages" ] || {
    echo "There are no sources in $sources: mount the checkout there, with -v .:/app." >&2
    exit 2
}

wanted=$(cat "$sources"/docker/requirements/*.txt "$sources"/packages/*/pyproject.toml | sha256sum)
if [ "${SKIP_INSTALL:-0}" != 1 ] && [ "$(cat "$place/.installed" 2>/dev/null)" != "$wanted" ]; then
    # Install only if some of the required versions are missing in the image.
    python - "$sources/docker/requirements/runtime.txt" <<'PYTHON' || {
import re, sys
from importlib.metadata import PackageNotFoundError, version

def has(name, wanted):
    try:
        return version(name) == wanted
    except PackageNotFoundError:
        return False

pins = re.findall(r"^([a-z0-9-]+)==(\S+)", open(sys.argv[1]).read(), re.MULTILINE)
sys.exit(not all(has(name, wanted) for name, wanted in pins))
PYTHON
        echo "installing into $place (SKIP_INSTALL=1 skips this)" >&2
        pip --python "$(command -v python)" install --quiet --require-hashes --only-binary :all: \
            --target "$place" --upgrade --requirement "$sources/docker/requirements/runtime.txt"
    }
    mkdir -p "$place"
    echo "$wanted" > "$place/.installed"
fi

PYTHONPATH="$sources/packages/etl_core/src:$sources/packages/data_pipeline/src:$sources/packages/sandbox/src:$place"
export PYTHONPATH
if [ "${1:-}" = sh ]; then
    shift
    exec sh "$@"
fi
exec python -m data_pipeline "$@"
