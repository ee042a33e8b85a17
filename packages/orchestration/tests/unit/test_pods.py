"""The pod of a job."""

from __future__ import annotations

import unittest

import pytest

from etl_core.errors import ConfigError
from orchestration.pods import pod_of
from orchestration.settings import Settings


class PodOf(unittest.TestCase):
    def test_it_has_what_the_job_needs_and_where_this_airflow_says(self):
        settings = Settings(image="registry/etl:7", env_from="configmap/a,secret/b", timeout_hours="2.5")

        found = pod_of("get_s3_files", settings)

        self.assertEqual(found.image, "registry/etl:7")
        self.assertEqual(found.service_account, "data-pipeline-agency-files")
        self.assertEqual(found.env_from, ("configmap/a", "secret/b", "secret/data-pipeline-database"))
        self.assertEqual(found.timeout_hours, 2.5)
        self.assertEqual(pod_of("build_marts", settings).memory, "3Gi")

    def test_a_job_without_a_kubernetes_example_is_refused(self):
        with pytest.raises(ConfigError, match="job build has no Kubernetes example"):
            pod_of("build", Settings())
