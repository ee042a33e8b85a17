mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/data-pipeline-dev-spark" }
  }
}

variables {
  name   = "data-pipeline-dev"
  bucket = "openpayments-dezoomcamp2026-us-west-1-test"
  wheels = ["openpayments_etl_core-0.1.0-py3-none-any.whl", "openpayments_data_pipeline-0.1.0-py3-none-any.whl"]
}

run "both_run_spark_3_5_from_one_entry_point_and_stop_when_idle" {
  command = apply

  assert {
    condition     = startswith(aws_emrserverless_application.this.release_label, "emr-7.") && aws_glue_job.this.glue_version == "5.1"
    error_message = "Another Spark than 3.5."
  }
  assert {
    condition     = aws_glue_job.this.command[0].script_location == "s3://openpayments-dezoomcamp2026-us-west-1-test/spark/code/entry.py"
    error_message = "Glue runs something else."
  }
  assert {
    condition     = aws_emrserverless_application.this.auto_stop_configuration[0].idle_timeout_minutes == 5
    error_message = "An idle application costs."
  }
  assert {
    condition     = alltrue([for one in jsondecode(aws_iam_role_policy.this.policy).Statement : !contains(flatten([one.Action]), "s3:DeleteObject") || one.Sid == "Scratch"])
    error_message = "More than the scratch can be deleted."
  }
}

run "a_module_that_is_no_wheel_is_refused" {
  command = plan

  variables {
    wheels = ["openpayments-data-pipeline"]
  }
  expect_failures = [var.wheels]
}
