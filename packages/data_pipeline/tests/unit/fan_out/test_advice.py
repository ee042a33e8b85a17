import re
import unittest

from data_pipeline.fan_out.advice import advice_for
from data_pipeline.jobs.fan_out import command
from etl_core.errors import EXIT_STATUSES
from etl_core.kube.explain import Diagnosis


class AdviceFor(unittest.TestCase):
    def test_each_reason_of_a_diagnosis_has_advice(self):
        listed = re.search(r"one of: ([a-z_,\s]+), or", Diagnosis.__doc__ or "")
        assert listed is not None
        reasons = re.split(r",\s+", listed.group(1))
        self.assertGreater(len(reasons), 8)
        for reason in [*reasons, "no_audit", *(f"exit_{status.code}" for status in EXIT_STATUSES), "exit_139"]:
            with self.subTest(reason=reason):
                self.assertTrue(advice_for(reason).endswith("."))

    def test_each_flag_in_an_advice_is_a_flag_of_fan_out(self):
        options = {name for parameter in command.params for name in parameter.opts}
        for reason in ("deadline", "out_of_memory", "image_pull", "unschedulable", "quota"):
            for flag in re.findall(r"--[a-z-]+", advice_for(reason)):
                with self.subTest(reason=reason, flag=flag):
                    self.assertIn(flag, options)
