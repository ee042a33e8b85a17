output "name" {
  description = "For `aws eks update-kubeconfig --name`; empty without a cluster."
  value       = var.mode == "create" ? aws_eks_cluster.this[0].name : var.existing_name
}

output "oidc_provider_arn" {
  description = "For the roles of service accounts; empty without a cluster."
  value       = var.mode == "create" ? aws_iam_openid_connect_provider.this[0].arn : var.existing_oidc_provider_arn
}
