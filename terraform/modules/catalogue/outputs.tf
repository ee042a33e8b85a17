output "database" {
  description = "Glue database of the tables."
  value       = aws_glue_catalog_database.this.name
}

output "workgroup" {
  description = "Athena workgroup for queries."
  value       = aws_athena_workgroup.this.name
}
