output "lake_url" {
  description = "The setting LAKE_URL of every job."
  value       = module.lake.lake_url
}

output "region" {
  description = "The setting AWS_REGION of every job."
  value       = var.region
}

output "role_arns" {
  description = "Role of each stage, for AWS profiles of people."
  value       = module.identity.role_arns
}
