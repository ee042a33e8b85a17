output "name" {
  description = "Name of the cluster, for `aws eks update-kubeconfig --name`; empty without a cluster."
  value       = var.mode == "create" ? aws_eks_cluster.this[0].name : var.existing_name
}

output "oidc_provider_arn" {
  description = "ARN of the OIDC provider, for the roles of service accounts; empty without a cluster."
  value       = var.mode == "create" ? aws_iam_openid_connect_provider.this[0].arn : var.existing_oidc_provider_arn
}
