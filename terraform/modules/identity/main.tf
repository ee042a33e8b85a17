# One role per stage. Each policy is a JSON template in policies/, so that the tests evaluate exactly the document that
# is applied, with every call that the stage's jobs make. A role is a set of policies and a principal that may assume it.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${var.bucket}"

  # The policies of each role, by name. tests/infrastructure reads policies/roles.json too.
  roles = jsondecode(file("${path.module}/policies/roles.json"))

  # Without a bucket to copy from there is nothing to allow in it.
  attached = merge([
    for role, said in local.roles : {
      for policy in said.policies : "${role}/${policy}" => { role = role, policy = policy }
      if policy != "agency_source" || var.agency_source_bucket != ""
    }
  ]...)

  people = jsonencode(
    length(var.people) > 0 ? var.people : ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"]
  )
  issuer = trimprefix(try(regex("oidc-provider/(.+)$", var.oidc_provider_arn)[0], ""), "/")

  # Without a cluster, people may assume the roles of service accounts, so that a worker's rights can be tested by hand.
  trust = {
    for role, said in local.roles : role => (
      said.trust == "ec2" ? templatefile("${path.module}/policies/trust_ec2.json.tftpl", {})
      : said.trust == "people_with_mfa" ? templatefile("${path.module}/policies/trust_people_with_mfa.json.tftpl", { people = local.people })
      : said.trust == "people" || var.oidc_provider_arn == "" ? templatefile("${path.module}/policies/trust_people.json.tftpl", { people = local.people })
      : templatefile("${path.module}/policies/trust_service_account.json.tftpl", {
        oidc_provider_arn = var.oidc_provider_arn
        oidc_issuer       = local.issuer
        namespace         = try(said.namespace, var.namespace)
        service_account   = said.trust
      })
    )
  }
}

resource "aws_iam_role" "stage" {
  for_each = local.roles

  name                 = "${var.name}-${replace(each.key, "_", "-")}"
  description          = each.value.description
  assume_role_policy   = local.trust[each.key]
  max_session_duration = var.max_session_hours * 3600
}

resource "aws_iam_role_policy" "stage" {
  for_each = local.attached

  name = each.value.policy
  role = aws_iam_role.stage[each.value.role].name
  policy = templatefile("${path.module}/policies/${each.value.policy}.json.tftpl", {
    bucket_arn        = local.bucket_arn
    agency_source_arn = "arn:${data.aws_partition.current.partition}:s3:::${var.agency_source_bucket}"
  })
}

resource "aws_iam_instance_profile" "runner" {
  name = "${var.name}-runner"
  role = aws_iam_role.stage["runner"].name
}
