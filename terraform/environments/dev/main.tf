# For experiments: the cheapest runner; everything may be destroyed with its content.

module "platform" {
  source = "../../modules/platform"

  environment   = "dev"
  region        = var.region
  suffix        = var.suffix
  people        = var.people
  force_destroy = true
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
