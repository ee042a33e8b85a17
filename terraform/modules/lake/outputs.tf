output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.lake.bucket
}

output "bucket_arn" {
  description = "ARN of the bucket, for policies."
  value       = aws_s3_bucket.lake.arn
}

output "lake_url" {
  description = "The setting LAKE_URL."
  value       = "s3://${aws_s3_bucket.lake.bucket}"
}
