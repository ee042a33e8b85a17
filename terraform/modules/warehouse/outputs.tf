output "workgroup" {
  description = "Address for dbt's profile and the query editor."
  value       = aws_redshiftserverless_workgroup.this.workgroup_name
}

output "copy_role_arn" {
  description = "ARN of the role for COPY … IAM_ROLE."
  value       = aws_iam_role.copy.arn
}
