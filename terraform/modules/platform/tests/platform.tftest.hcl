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
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-west-1a", "us-west-1c"] }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { insecure_value = "ami-0123456789abcdef0" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/data-pipeline-test-some" }
  }
  mock_resource "aws_vpc" {
    defaults = { id = "vpc-0123", cidr_block = "10.42.0.0/16" }
  }
  mock_resource "aws_subnet" {
    defaults = { id = "subnet-0123" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::openpayments-dezoomcamp2026-us-west-1-x" }
  }
  mock_resource "aws_ecr_repository" {
    defaults = { arn = "arn:aws:ecr:us-west-1:123456789012:repository/some" }
  }
  mock_resource "aws_athena_workgroup" {
    defaults = { arn = "arn:aws:athena:us-west-1:123456789012:workgroup/some" }
  }
  mock_resource "aws_redshiftserverless_workgroup" {
    defaults = { arn = "arn:aws:redshift-serverless:us-west-1:123456789012:workgroup/0" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF" }
  }
  mock_resource "aws_eks_cluster" {
    defaults = {
      identity = [{ oidc = [{ issuer = "https://oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF" }] }]
    }
  }
}

variables {
  environment = "test"
  suffix      = "x"
}

run "the_least_is_a_lake_roles_a_registry_and_tables" {
  command = apply

  assert {
    condition     = output.lake_url == "s3://openpayments-dezoomcamp2026-us-west-1-x"
    error_message = "The bucket's name is a promise."
  }
  assert {
    condition     = length(module.network) == 0 && length(module.runner) == 0 && length(module.warehouse) == 0 && output.cluster_name == ""
    error_message = "Something that costs by the hour was not asked for."
  }
  assert {
    condition     = toset(keys(output.service_accounts)) == toset([for name in ["agency-files", "customers", "fan-out", "metadata", "runner", "worker"] : "data-pipeline-${name}"])
    error_message = "The overlay needs every service account."
  }
}

run "everything_at_once" {
  command = apply

  variables {
    runner    = { ssh_cidrs = ["203.0.113.0/24"], ssh_public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample me" }
    cluster   = { mode = "create", api_cidrs = ["203.0.113.0/24"] }
    warehouse = true
  }
  assert {
    condition     = length(module.network) == 1 && output.runner != null && output.cluster_name != ""
    error_message = "Something that was asked for is missing."
  }
  assert {
    condition     = strcontains(output.service_accounts["data-pipeline-worker"], ":role/")
    error_message = "No role for workers."
  }
}

run "a_suffix_in_capitals_is_refused" {
  command = plan

  variables {
    suffix = "Mine"
  }
  expect_failures = [var.suffix]
}
