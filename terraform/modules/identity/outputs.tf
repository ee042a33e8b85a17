output "role_arns" {
  description = "ARN of each role, by stage."
  value       = { for stage, role in aws_iam_role.stage : stage => role.arn }
}

output "role_names" {
  description = "Name of each role, by stage, for attaching more policies."
  value       = { for stage, role in aws_iam_role.stage : stage => role.name }
}

output "service_accounts" {
  description = "Role of each Kubernetes service account, for the eks overlay."
  value       = { for stage, said in local.roles : said.trust => aws_iam_role.stage[stage].arn if startswith(said.trust, "data-pipeline-") }
}

output "overwriters" {
  description = "Roles that may replace raw parts and proofs. The bucket's own policy denies it to all others."
  value       = [aws_iam_role.stage["overwrite"].arn]
}

output "collectors" {
  description = "Roles that may delete raw parts and proofs. The bucket's own policy denies it to all others."
  value       = [aws_iam_role.stage["collect"].arn]
}

output "runner_instance_profile" {
  description = "Instance profile of the EC2 runner."
  value       = aws_iam_instance_profile.runner.name
}
