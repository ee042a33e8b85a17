mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/data-pipeline-dev-warehouse" }
  }
  mock_resource "aws_redshiftserverless_workgroup" {
    defaults = { arn = "arn:aws:redshift-serverless:us-west-1:123456789012:workgroup/0" }
  }
}

variables {
  name       = "data-pipeline-dev"
  vpc_id     = "vpc-0123"
  vpc_cidr   = "10.42.0.0/16"
  subnet_ids = ["subnet-1", "subnet-2", "subnet-3"]
  bucket_arn = "arn:aws:s3:::openpayments-dezoomcamp2026-us-west-1-test"
  loaders    = { describe = "data-pipeline-dev-describe" }
}

run "private_limited_and_without_a_password_of_ours" {
  command = apply

  assert {
    condition     = !aws_redshiftserverless_workgroup.this.publicly_accessible && aws_vpc_security_group_ingress_rule.redshift.cidr_ipv4 == "10.42.0.0/16"
    error_message = "The warehouse can be reached from outside."
  }
  assert {
    condition     = aws_redshiftserverless_usage_limit.compute.breach_action == "deactivate"
    error_message = "A forgotten query costs without end."
  }
  assert {
    condition     = aws_redshiftserverless_namespace.this.manage_admin_password == true
    error_message = "A password in the state."
  }
}

run "a_loader_reaches_this_workgroup_and_its_own_statements" {
  command = apply

  assert {
    condition     = jsondecode(aws_iam_role_policy.load["describe"].policy).Statement[0].Resource == "arn:aws:redshift-serverless:us-west-1:123456789012:workgroup/0"
    error_message = "A loader reaches another workgroup, or none."
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.load["describe"].policy).Statement[1].Condition.StringEquals["redshift-data:statement-owner-iam-userid"] == "$${aws:userid}"
    error_message = "A loader reads results of others."
  }
}

run "two_subnets_are_refused" {
  command = plan

  variables {
    subnet_ids = ["subnet-1", "subnet-2"]
  }
  expect_failures = [var.subnet_ids]
}
