# What jobs and the eks overlay need, under the names that tools/overlay.py reads, and addresses for people.

output "lake_url" {
  description = "The setting LAKE_URL of every job."
  value       = module.lake.lake_url
}

output "region" {
  description = "The setting AWS_REGION of every job."
  value       = var.region
}

output "image_repository" {
  description = "Address of the image's repository, for push and pull."
  value       = module.registry.repository_url
}

output "service_accounts" {
  description = "Role of each Kubernetes service account."
  value       = module.identity.service_accounts
}

output "role_arns" {
  description = "Role of each stage, for AWS profiles of people."
  value       = module.identity.role_arns
}

output "cluster_name" {
  description = "Name of the cluster, for aws eks update-kubeconfig; empty without a cluster."
  value       = module.cluster.name
}

output "runner" {
  description = "The EC2 runner: instance id for a session, address for SSH; null without a runner."
  value       = one([for runner in module.runner : { instance_id = runner.instance_id, public_ip = runner.public_ip }])
}

output "queries" {
  description = "Glue database and Athena workgroup; null without a catalogue."
  value       = one([for one in module.catalogue : { database = one.database, workgroup = one.workgroup }])
}
