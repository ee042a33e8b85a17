# What jobs and the eks overlay need, under the names that tools/overlay.py reads, and addresses for people.

output "lake_url" {
  description = "The setting LAKE_URL of every job."
  value       = module.platform.lake_url
}

output "region" {
  description = "The setting AWS_REGION of every job."
  value       = module.platform.region
}

output "image_repository" {
  description = "Address of the image's repository, for push and pull."
  value       = module.platform.image_repository
}

output "service_accounts" {
  description = "Role of each Kubernetes service account."
  value       = module.platform.service_accounts
}

output "role_arns" {
  description = "Role of each stage, for AWS profiles of people."
  value       = module.platform.role_arns
}

output "cluster_name" {
  description = "Name of the cluster, for aws eks update-kubeconfig; empty without a cluster."
  value       = module.platform.cluster_name
}

output "runner" {
  description = "The EC2 runner: instance id for a session, address for SSH; null without a runner."
  value       = module.platform.runner
}

output "queries" {
  description = "Glue database and Athena workgroup; null without a catalogue."
  value       = module.platform.queries
}
