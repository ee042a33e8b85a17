# The one image of all jobs. From the repository's root:
#
#     docker build -f docker/data-pipeline.Dockerfile -t etl-data-pipeline .
#
# Behind a proxy that inspects TLS, add its certificate: `--secret id=ca,src=FILE`.
#
# Slow steps come first: after a change of our source only two small layers are rebuilt, in seconds. The `job` stage has
# installed wheels and no build tools. Reasons: docs/decisions/0009-one-image.md.

ARG PYTHON=3.11
ARG BASE=docker.io/library/python:${PYTHON}-slim


FROM ${BASE} AS dependencies
ENV PIP_CACHE_DIR=/var/cache/pip PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_PROGRESS_BAR=off PIP_CERT=/etc/ssl/pip.pem
# What pip trusts: Debian's certificates and the secret `ca`. Written in each step that uses it, because a step before it
# would come from the cache whatever the secret is. The stages that run do not have this file.
COPY docker/requirements /requirements
RUN --mount=type=cache,target=/var/cache/pip,sharing=locked --mount=type=secret,id=ca \
    set -eu; \
    cat /etc/ssl/certs/ca-certificates.crt $(ls /run/secrets/ca 2>/dev/null) > "${PIP_CERT}"; \
    python -m venv --without-pip /opt/venv; \
    pip --python /opt/venv/bin/python install --require-hashes --only-binary :all: \
        --requirement /requirements/runtime.txt; \
    # We use only the connection of the Kubernetes client. Its asynchronous copy (68 MB) and the bytecode of 900
    # generated classes (23 MB) would be most of the image.
    cd /opt/venv/lib/python3*/site-packages/kubernetes; \
    rm -r aio; \
    find client/api client/models -name __pycache__ -prune -exec rm -r {} +
# Names of further extras of openpayments-data-pipeline, separated by spaces; each has its file in docker/requirements/.
# In a step of its own, so that an image with extras takes what is above from the cache.
ARG EXTRAS=""
RUN --mount=type=cache,target=/var/cache/pip,sharing=locked --mount=type=secret,id=ca \
    set -eu; \
    cat /etc/ssl/certs/ca-certificates.crt $(ls /run/secrets/ca 2>/dev/null) > "${PIP_CERT}"; \
    for extra in ${EXTRAS}; do \
        [ -f "/requirements/${extra}.txt" ] || { echo "there is no extra ${extra}: see docker/requirements" >&2; exit 1; }; \
        pip --python /opt/venv/bin/python install --require-hashes --only-binary :all: \
            --requirement "/requirements/${extra}.txt"; \
    done


FROM dependencies AS wheels
RUN --mount=type=cache,target=/var/cache/pip,sharing=locked --mount=type=secret,id=ca \
    cat /etc/ssl/certs/ca-certificates.crt $(ls /run/secrets/ca 2>/dev/null) > "${PIP_CERT}" \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --only-binary :all: --requirement /requirements/build.txt
COPY packages /packages
# Built without an index: the backend is already installed.
RUN for package in etl_core data_pipeline sandbox; do \
        /opt/build/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation \
            --wheel-dir "/wheels/${package}" "/packages/${package}" || exit 1; \
    done; \
    install="pip --python /opt/venv/bin/python install --quiet --no-cache-dir --no-index --no-deps" \
    && $install --prefix /opt/job /wheels/etl_core/*.whl /wheels/data_pipeline/*.whl \
    && $install --prefix /opt/sandbox /wheels/sandbox/*.whl


FROM ${BASE} AS runtime
# Any user may write to HOME. Python writes no bytecode and does not buffer output.
ENV PATH=/opt/venv/bin:${PATH} HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=dependencies /opt/venv /opt/venv
# Relative lakes, such as the default ./data, are below this folder. There is no /app/data: a lake inside a container
# would be lost with it, so one must be mounted.
WORKDIR /app


# The simulated source, for the demo of docker/compose.yaml: `--target sandbox`.
FROM runtime AS sandbox
COPY --from=wheels /opt/sandbox /opt/venv
USER 10001:10001
ENTRYPOINT ["python", "-m", "sandbox"]
CMD ["serve", "--port", "8000"]


FROM runtime AS job
COPY --from=wheels /opt/job /opt/venv
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="etl-data-pipeline" \
      org.opencontainers.image.description="One command, many jobs: a program year of CMS Open Payments as files proved complete" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A number, so that Kubernetes can check that it is not root.
USER 10001:10001
# The list form starts no shell: Python is process 1 and receives signals.
ENTRYPOINT ["data-pipeline"]
CMD ["list"]
