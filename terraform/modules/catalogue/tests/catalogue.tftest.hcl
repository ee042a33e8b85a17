mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-west-1" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::openpayments-dezoomcamp2026-us-west-1-test-results" }
  }
  mock_resource "aws_athena_workgroup" {
    defaults = { arn = "arn:aws:athena:us-west-1:123456789012:workgroup/data-pipeline-dev" }
  }
}

variables {
  name           = "data-pipeline-dev"
  lake_bucket    = "openpayments-dezoomcamp2026-us-west-1-test"
  results_bucket = "openpayments-dezoomcamp2026-us-west-1-test-results"
  readers        = { reader = "data-pipeline-dev-reader" }
  publishers     = { describe = "data-pipeline-dev-describe" }
}

run "partitions_are_the_folders_of_the_lake" {
  command = apply

  assert {
    condition     = aws_glue_catalog_table.raw["raw_general_payments"].parameters["storage.location.template"] == "s3://openpayments-dezoomcamp2026-us-west-1-test/raw/dataset=$${dataset}/year=$${year}/release=$${release}/company_id=$${company_id}/"
    error_message = "Queries look in folders that no job writes."
  }
  assert {
    condition     = toset(keys(aws_glue_catalog_table.raw)) == toset(flatten([for name in ["general", "research", "ownership"] : ["raw_${name}_payments", "raw_${name}_payments_release"]]))
    error_message = "Each dataset has two tables."
  }
  assert {
    condition     = [for name in ["general", "research", "ownership"] : length(aws_glue_catalog_table.raw["raw_${name}_payments"].storage_descriptor[0].columns)] == [91, 252, 30]
    error_message = "A table has the columns of another dataset."
  }
  assert {
    condition     = aws_glue_catalog_table.raw["raw_research_payments"].parameters["projection.dataset.values"] == "research-payments"
    error_message = "A table looks in the folders of another dataset."
  }
  assert {
    condition     = [for key in aws_glue_catalog_table.raw["raw_general_payments"].partition_keys : key.name] == ["dataset", "year", "release", "company_id"]
    error_message = "Partition keys are dataset, year, release, company_id."
  }
  assert {
    # Athena refuses a table of which a partition key has no projection or no place in the template.
    condition = alltrue(flatten([
      for table in values(aws_glue_catalog_table.raw) : [
        for key in table.partition_keys : contains(keys(table.parameters), "projection.${key.name}.type") && strcontains(table.parameters["storage.location.template"], "$${${key.name}}")
      ]
    ]))
    error_message = "A partition key without projection."
  }
}

run "manifests_are_found_without_a_partition_and_publishers_write_only_here" {
  command = apply

  assert {
    condition     = aws_glue_catalog_table.manifests.parameters["storage.location.template"] == "s3://openpayments-dezoomcamp2026-us-west-1-test/metadata/curated/dataset=$${dataset}/year=$${year}/"
    error_message = "Queries look for manifests in folders that no job writes."
  }
  assert {
    condition     = aws_glue_catalog_table.manifests.parameters["projection.dataset.values"] == "general-payments,ownership-payments,research-payments" && !contains(keys(aws_glue_catalog_table.manifests.parameters), "projection.release.type")
    error_message = "Manifests of a dataset are not found, or a release must be named that is no folder."
  }
  assert {
    condition     = alltrue([for arn in flatten([for one in jsondecode(aws_iam_role_policy.publish["describe"].policy).Statement : one.Resource]) : can(regex(":(catalog|database/data_pipeline_dev|table/data_pipeline_dev/.+)$", arn))])
    error_message = "A publisher may write into another database."
  }
  assert {
    condition     = alltrue([for name in ["curated_against_manifest", "top_companies", "payments_by_month"] : contains(keys(aws_athena_named_query.this), name)])
    error_message = "A query of the curated tables is missing."
  }
}

run "a_query_is_limited_and_its_result_encrypted" {
  command = apply

  assert {
    condition     = aws_athena_workgroup.this.configuration[0].bytes_scanned_cutoff_per_query == 21474836480 && aws_athena_workgroup.this.configuration[0].enforce_workgroup_configuration
    error_message = "A query may read without end."
  }
  assert {
    condition     = aws_athena_workgroup.this.configuration[0].result_configuration[0].encryption_configuration[0].encryption_option == "SSE_S3"
    error_message = "Results are not encrypted."
  }
  assert {
    condition     = strcontains(aws_athena_named_query.this["rows_against_manifest"].query, "s3://openpayments-dezoomcamp2026-us-west-1-test/") && !strcontains(aws_athena_named_query.this["rows_against_manifest"].query, "LAKE-BUCKET")
    error_message = "The named query does not know its bucket."
  }
}

run "results_in_the_lake_are_refused" {
  command = plan

  variables {
    results_bucket = "openpayments-dezoomcamp2026-us-west-1-test"
  }
  expect_failures = [var.results_bucket]
}

run "years_backwards_are_refused" {
  command = plan

  variables {
    first_year = 2024
    last_year  = 2020
  }
  expect_failures = [var.last_year]
}
