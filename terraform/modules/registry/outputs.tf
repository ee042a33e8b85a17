output "repository_url" {
  description = "Name of the image in manifests, before @sha256:…"
  value       = aws_ecr_repository.this.repository_url
}
