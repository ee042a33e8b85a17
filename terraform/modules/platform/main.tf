# The parts of an environment, connected once. dev and prod use the same parts with different values.

locals {
  name   = "data-pipeline-${var.environment}"
  bucket = "openpayments-dezoomcamp2026-${var.region}-${var.suffix}"
}

module "network" {
  source = "../network"
  count  = var.runner != null || var.cluster.mode == "create" || var.warehouse ? 1 : 0

  name        = local.name
  nat_gateway = var.nat_gateway
}

module "identity" {
  source = "../identity"

  name              = local.name
  bucket            = local.bucket
  people            = var.people
  oidc_provider_arn = module.cluster.oidc_provider_arn

  agency_source_bucket = var.agency_source_bucket
}

module "lake" {
  source = "../lake"

  bucket        = local.bucket
  overwriters   = module.identity.overwriters
  collectors    = module.identity.collectors
  force_destroy = var.force_destroy
}

module "registry" {
  source = "../registry"

  name         = "${local.name}/etl-data-pipeline" # one per environment: a push to dev cannot change prod
  pushers      = { runner = module.identity.role_names["runner"] }
  force_delete = var.force_destroy
}

module "runner" {
  source = "../runner"
  count  = var.runner == null ? 0 : 1

  name             = local.name
  vpc_id           = module.network[0].vpc_id
  subnet_id        = module.network[0].public_subnet_ids[0]
  instance_profile = module.identity.runner_instance_profile
  role_name        = module.identity.role_names["runner"]
  lake_url         = module.lake.lake_url
  ssh_cidrs        = var.runner.ssh_cidrs
  ssh_public_key   = var.runner.ssh_public_key
  architecture     = var.runner.architecture
  instance_type    = var.runner.instance_type
  repository_url   = var.runner.repository_url
  revision         = var.runner.revision
}

module "cluster" {
  source = "../cluster"

  name                       = local.name
  mode                       = var.cluster.mode
  existing_name              = var.cluster.name
  existing_oidc_provider_arn = var.cluster.oidc_provider_arn
  subnet_ids                 = var.cluster.mode == "create" ? module.network[0].node_subnet_ids : []
  api_cidrs                  = var.cluster.api_cidrs
  administrators             = var.cluster.administrators
  spot_nodes                 = var.cluster.spot_nodes
  kubernetes_version         = var.cluster.version
}

module "catalogue" {
  source = "../catalogue"
  count  = var.catalogue ? 1 : 0

  name           = local.name
  lake_bucket    = module.lake.bucket
  results_bucket = "${local.bucket}-queries"
  readers        = { reader = module.identity.role_names["reader"] }
  publishers     = { describe = module.identity.role_names["describe"] }
}

module "warehouse" {
  source = "../warehouse"
  count  = var.warehouse ? 1 : 0

  name       = local.name
  vpc_id     = module.network[0].vpc_id
  vpc_cidr   = module.network[0].vpc_cidr
  subnet_ids = module.network[0].private_subnet_ids
  bucket_arn = module.lake.bucket_arn
  loaders    = { describe = module.identity.role_names["describe"] }
}
