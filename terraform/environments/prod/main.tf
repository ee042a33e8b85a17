# The production lake: nothing with content is destroyed, and the nodes of a cluster are behind NAT.

module "platform" {
  source = "../../modules/platform"

  environment   = "prod"
  region        = var.region
  suffix        = var.suffix
  people        = var.people
  force_destroy = false
  nat_gateway   = var.cluster.mode == "create"
  cluster       = var.cluster
  warehouse     = var.warehouse

  agency_source_bucket = var.agency_source_bucket

  runner = {
    ssh_cidrs      = var.ssh_cidrs
    ssh_public_key = var.ssh_public_key
    repository_url = var.repository_url
    revision       = var.revision
  }
}
