mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "us-west-1" }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { insecure_value = "ami-0123456789abcdef0" }
  }
}

variables {
  name             = "data-pipeline-dev"
  vpc_id           = "vpc-0123"
  subnet_id        = "subnet-0123"
  instance_profile = "data-pipeline-dev-runner"
  role_name        = "data-pipeline-dev-runner"
  lake_url         = "s3://openpayments-dezoomcamp2026-us-west-1-test"
  ssh_public_key   = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample me"
  ssh_cidrs        = ["203.0.113.0/24", "198.51.100.7/32"]
  repository_url   = "https://example.org/data-pipeline.git"
  revision         = "v0.1.0"
}

run "a_hardened_machine" {
  command = plan

  assert {
    condition     = aws_instance.this.metadata_options[0].http_tokens == "required" && aws_instance.this.metadata_options[0].http_put_response_hop_limit == 2
    error_message = "IMDSv2 is required, and reaches containers."
  }
  assert {
    condition     = aws_instance.this.root_block_device[0].encrypted
    error_message = "The disk is not encrypted."
  }
  assert {
    condition     = { for cidr, rule in aws_vpc_security_group_ingress_rule.ssh : cidr => rule.from_port } == { "203.0.113.0/24" = 22, "198.51.100.7/32" = 22 }
    error_message = "SSH from the named blocks, and nothing else, comes in."
  }
}

run "a_session_is_a_session_and_no_parameter_of_the_account_is_read" {
  command = plan

  assert {
    condition = alltrue([
      for action in jsondecode(aws_iam_role_policy.session.policy).Statement[0].Action :
      startswith(action, "ssmmessages:") || action == "ssm:UpdateInstanceInformation"
    ])
    error_message = "More than a session."
  }
}

run "user_data_fits_and_knows_its_settings" {
  command = plan

  assert {
    condition     = length(aws_instance.this.user_data) < 16384
    error_message = "EC2 takes 16 KB of user-data."
  }
  assert {
    condition     = strcontains(aws_instance.this.user_data, "'s3://openpayments-dezoomcamp2026-us-west-1-test'") && strcontains(aws_instance.this.user_data, "revision='v0.1.0'")
    error_message = "Settings are missing in user-data."
  }
}

run "no_key_no_port" {
  command = plan

  variables {
    ssh_cidrs      = []
    ssh_public_key = ""
  }
  assert {
    condition     = length(aws_key_pair.this) == 0 && length(aws_vpc_security_group_ingress_rule.ssh) == 0
    error_message = "Without SSH there is neither key nor open port."
  }
}

run "a_prefix_is_refused" {
  command = plan

  variables {
    ssh_cidrs = ["203.0.113."]
  }
  expect_failures = [var.ssh_cidrs]
}

run "an_address_inside_a_block_is_refused" {
  command = plan

  variables {
    ssh_cidrs = ["203.0.113.7/24"]
  }
  expect_failures = [var.ssh_cidrs]
}

run "the_whole_internet_is_refused" {
  command = plan

  variables {
    ssh_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.ssh_cidrs]
}

run "an_open_port_without_a_key_is_refused" {
  command = plan

  variables {
    ssh_public_key = ""
  }
  expect_failures = [var.ssh_public_key]
}

run "a_token_in_the_repository_s_address_is_refused" {
  command = plan

  variables {
    repository_url = "https://me:secret@example.org/data-pipeline.git"
  }
  expect_failures = [var.repository_url]
}

run "an_instance_type_of_the_other_architecture_is_refused" {
  command = plan

  variables {
    architecture = "arm64"
  }
  expect_failures = [var.instance_type]
}
