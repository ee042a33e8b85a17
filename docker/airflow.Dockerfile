# Airflow with the operator and the DAGs. From the repository's root:
#
#     docker build -f docker/airflow.Dockerfile -t etl-airflow .
#
# That image has no jobs: it starts them as Kubernetes Jobs. `--target with-jobs` adds them, in an environment of their
# own that shares no version with Airflow's, for the place `process` (compose.airflow.yaml). Behind a proxy that inspects
# TLS, add its certificate: `--secret id=ca,src=FILE`.

ARG PYTHON=3.11
ARG BASE=docker.io/library/python:${PYTHON}-slim


FROM ${BASE} AS pip
ENV PIP_CACHE_DIR=/var/cache/pip PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_PROGRESS_BAR=off PIP_CERT=/etc/ssl/pip.pem


FROM pip AS environment
COPY constraints-airflow.txt /
RUN --mount=type=cache,target=/var/cache/pip,sharing=locked --mount=type=secret,id=ca \
    cat /etc/ssl/certs/ca-certificates.crt $(ls /run/secrets/ca 2>/dev/null) > "${PIP_CERT}" \
    && python -m venv --without-pip /opt/airflow \
    && pip --python /opt/airflow/bin/python install --no-deps --requirement /constraints-airflow.txt
COPY packages /packages
RUN --mount=type=cache,target=/var/cache/pip,sharing=locked --mount=type=secret,id=ca \
    cat /etc/ssl/certs/ca-certificates.crt $(ls /run/secrets/ca 2>/dev/null) > "${PIP_CERT}" \
    && pip --python /opt/airflow/bin/python install --no-deps /packages/etl_core /packages/orchestration


FROM pip AS jobs
COPY docker/requirements /requirements
COPY packages/analytics/constraints.txt /dbt.txt
RUN --mount=type=cache,target=/var/cache/pip,sharing=locked --mount=type=secret,id=ca \
    cat /etc/ssl/certs/ca-certificates.crt $(ls /run/secrets/ca 2>/dev/null) > "${PIP_CERT}" \
    && python -m venv --without-pip /opt/jobs \
    && python -m venv --without-pip /opt/jobs/dbt \
    && pip --python /opt/jobs/bin/python install --require-hashes --only-binary :all: \
        --requirement /requirements/runtime.txt --requirement /requirements/lakehouse.txt --requirement /requirements/db.txt \
    && pip --python /opt/jobs/dbt/bin/python install --constraint /dbt.txt dbt-core dbt-duckdb duckdb
COPY constraints.txt /
COPY packages /packages
RUN --mount=type=cache,target=/var/cache/pip,sharing=locked --mount=type=secret,id=ca \
    cat /etc/ssl/certs/ca-certificates.crt $(ls /run/secrets/ca 2>/dev/null) > "${PIP_CERT}" \
    && pip wheel --quiet --no-deps --wheel-dir /wheels /packages/etl_core /packages/data_pipeline /packages/analytics /packages/sandbox \
    && pip --python /opt/jobs/bin/python install --find-links /wheels --constraint /constraints.txt \
        "openpayments-data-pipeline[kubernetes,lakehouse,report,db]==0.1.0" openpayments-analytics==0.1.0 openpayments-sandbox==0.1.0


FROM ${BASE} AS airflow-only
ENV PATH=/opt/airflow/bin:${PATH} HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 AIRFLOW_HOME=/opt/home \
    AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW__CORE__DAGS_FOLDER=/opt/dags
COPY --from=environment /opt/airflow /opt/airflow
COPY packages/orchestration/src/orchestration/dags /opt/dags
# Airflow does not start for a user without a name.
RUN echo "airflow:x:10001:10001::/tmp:/bin/false" >> /etc/passwd && mkdir /opt/home && chown 10001:10001 /opt/home
USER 10001:10001
ENTRYPOINT ["airflow"]
CMD ["version"]


FROM airflow-only AS with-jobs
ENV AIRFLOW__DATA_PIPELINE__PROGRAM=/opt/jobs/bin/data-pipeline
COPY --from=jobs /opt/jobs /opt/jobs


FROM airflow-only
