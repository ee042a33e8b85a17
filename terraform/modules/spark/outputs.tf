output "emr_application_id" {
  description = "For aws emr-serverless start-job-run --application-id."
  value       = aws_emrserverless_application.this.id
}

output "role_arn" {
  description = "For --execution-role-arn."
  value       = aws_iam_role.this.arn
}

output "scratch_url" {
  description = "For SPARK_SCRATCH_URL."
  value       = local.scratch
}
