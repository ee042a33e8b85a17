mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::openpayments-dezoomcamp2026-us-west-1-test" }
  }
}

variables {
  bucket      = "openpayments-dezoomcamp2026-us-west-1-test"
  overwriters = ["arn:aws:iam::123456789012:role/data-pipeline-dev-overwrite"]
  collectors  = ["arn:aws:iam::123456789012:role/data-pipeline-dev-collect"]
}

run "closed_versioned_and_encrypted" {
  command = apply

  assert {
    condition     = aws_s3_bucket_versioning.lake.versioning_configuration[0].status == "Enabled"
    error_message = "Versions are how a deleted object comes back."
  }
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.lake.block_public_acls, aws_s3_bucket_public_access_block.lake.block_public_policy,
      aws_s3_bucket_public_access_block.lake.ignore_public_acls, aws_s3_bucket_public_access_block.lake.restrict_public_buckets,
    ])
    error_message = "Some public access is not blocked."
  }
  assert {
    condition     = output.lake_url == "s3://openpayments-dezoomcamp2026-us-west-1-test"
    error_message = "LAKE_URL is the bucket."
  }
}

run "raw_is_create_only_by_the_bucket_itself" {
  command = apply

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_s3_bucket_policy.lake.policy).Statement :
      statement.Effect == "Deny" && statement.Action == "s3:PutObject" && try(statement.Condition.Null["s3:if-none-match"], "") == "true"
      && contains(statement.Resource, "arn:aws:s3:::openpayments-dezoomcamp2026-us-west-1-test/raw/*")
    ])
    error_message = "A plain PUT may replace a raw part."
  }
  assert {
    condition = anytrue([
      for statement in jsondecode(aws_s3_bucket_policy.lake.policy).Statement :
      statement.Effect == "Deny" && try(statement.Condition.Bool["aws:SecureTransport"], "") == "false"
    ])
    error_message = "Plain HTTP is not refused."
  }
}

run "a_bucket_name_with_a_dot_is_refused" {
  command = plan

  variables {
    bucket = "open.payments"
  }
  expect_failures = [var.bucket]
}

run "a_wildcard_among_the_overwriters_is_refused" {
  command = plan

  variables {
    overwriters = ["arn:aws:iam::123456789012:role/*"]
  }
  expect_failures = [var.overwriters]
}

run "a_wildcard_among_the_collectors_is_refused" {
  command = plan

  variables {
    collectors = ["arn:aws:iam::123456789012:role/*"]
  }
  expect_failures = [var.collectors]
}
