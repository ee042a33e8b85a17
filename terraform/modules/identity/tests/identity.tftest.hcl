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
}

variables {
  name   = "data-pipeline-dev"
  bucket = "openpayments-dezoomcamp2026-us-west-1-test"
}

run "no_role_may_do_everything_anywhere" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.stage : [
        for statement in jsondecode(policy.policy).Statement :
        !contains(flatten([statement.Action]), "*") && !contains(flatten([statement.Action]), "s3:*") && !contains(flatten([statement.Resource]), "*")
      ]
    ]))
    error_message = "A wildcard action or resource."
  }
}

run "only_one_role_deletes_raw" {
  command = plan

  assert {
    condition = toset([
      for key, policy in aws_iam_role_policy.stage : split("/", key)[0]
      if strcontains(policy.policy, "s3:DeleteObject") && anytrue([
        for statement in jsondecode(policy.policy).Statement : contains(flatten([statement.Action]), "s3:DeleteObject") && anytrue([for resource in flatten([statement.Resource]) : strcontains(resource, "/raw/")])
      ])
    ]) == toset(["collect"])
    error_message = "Another role deletes raw parts."
  }
  assert {
    condition = alltrue([
      for stage in ["collect", "overwrite"] :
      jsondecode(aws_iam_role.stage[stage].assume_role_policy).Statement[0].Condition.Bool["aws:MultiFactorAuthPresent"] == "true"
    ])
    error_message = "What deletes or replaces raw parts asks for no second factor."
  }
}

run "without_a_cluster_nobody_federates" {
  command = plan

  assert {
    condition     = alltrue([for role in aws_iam_role.stage : !strcontains(role.assume_role_policy, "AssumeRoleWithWebIdentity")])
    error_message = "A role trusts a cluster that is not there."
  }
}

run "with_a_cluster_each_service_account_gets_its_own_role_and_no_other" {
  command = plan

  variables {
    oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF"
  }
  assert {
    condition = jsondecode(aws_iam_role.stage["download"].assume_role_policy).Statement[0].Condition.StringEquals == {
      "oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF:aud" = "sts.amazonaws.com"
      "oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF:sub" = "system:serviceaccount:data-pipeline:data-pipeline-worker"
    }
    error_message = "The worker's role trusts more than its service account."
  }
  assert {
    condition = jsondecode(aws_iam_role.stage["fan_out"].assume_role_policy).Statement[0].Condition.StringEquals == {
      "oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF:aud" = "sts.amazonaws.com"
      "oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF:sub" = "system:serviceaccount:data-pipeline:data-pipeline-fan-out"
    }
    error_message = "The fan-out's role trusts more than its service account."
  }
  assert {
    condition = jsondecode(aws_iam_role.stage["airflow"].assume_role_policy).Statement[0].Condition.StringEquals == {
      "oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF:aud" = "sts.amazonaws.com"
      "oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF:sub" = "system:serviceaccount:airflow:airflow-jobs"
    }
    error_message = "Airflow's role trusts more than its service account in its own namespace."
  }
}

run "a_wildcard_among_the_people_is_refused" {
  command = plan

  variables {
    people = ["arn:aws:iam::123456789012:user/*"]
  }
  expect_failures = [var.people]
}

run "an_agencys_bucket_is_read_by_one_role_and_only_if_it_is_named" {
  command = plan

  variables {
    agency_source_bucket = "agency-documents"
  }
  assert {
    condition = toset([
      for key, policy in aws_iam_role_policy.stage : key if strcontains(policy.policy, "agency-documents")
    ]) == toset(["agency_files/agency_source"])
    error_message = "Another role reads the agency's bucket."
  }
}

run "without_an_agencys_bucket_nothing_is_allowed_in_one" {
  command = plan

  assert {
    condition     = !contains(keys(aws_iam_role_policy.stage), "agency_files/agency_source")
    error_message = "A policy names no bucket."
  }
}
