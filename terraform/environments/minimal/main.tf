# A lake and its roles, nothing that costs by the hour: for a laptop, or a machine or cluster that is elsewhere.

locals {
  bucket = "openpayments-dezoomcamp2026-${var.region}-${var.suffix}"
}

module "identity" {
  source = "../../modules/identity"

  name   = "data-pipeline-minimal"
  bucket = local.bucket
  people = var.people
}

module "lake" {
  source = "../../modules/lake"

  bucket        = local.bucket
  overwriters   = module.identity.overwriters
  force_destroy = var.force_destroy
}
