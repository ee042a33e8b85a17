# What jobs and the eks overlay need, by the names tools/overlay.py reads; and where people find things.

output "lake_url" {
  description = "LAKE_URL of every job."
  value       = module.platform.lake_url
}

output "region" {
  description = "AWS_REGION of every job."
  value       = module.platform.region
}

output "image_repository" {
  description = "Where the image is pushed to and pulled from."
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
  description = "For aws eks update-kubeconfig; empty without a cluster."
  value       = module.platform.cluster_name
}

output "runner" {
  description = "The EC2 runner: instance for a session, address for SSH; null without one."
  value       = module.platform.runner
}

output "queries" {
  description = "Glue database and Athena workgroup; null without a catalogue."
  value       = module.platform.queries
}
