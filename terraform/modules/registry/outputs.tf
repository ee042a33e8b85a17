output "repository_url" {
  description = "What the image is called in manifests, before @sha256:…"
  value       = aws_ecr_repository.this.repository_url
}
