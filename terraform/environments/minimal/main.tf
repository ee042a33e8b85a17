# A lake and its roles, nothing that is charged per hour. For a laptop, or for a machine or cluster elsewhere.

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
  collectors    = module.identity.collectors
  force_destroy = var.force_destroy
}
