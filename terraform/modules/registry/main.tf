# Tags are immutable, and manifests name a digest: a job that runs again uses the same image as before.

resource "aws_ecr_repository" "this" {
  # checkov:skip=CKV_AWS_136:AES-256 by AWS: the image is built from public code and contains no secret.
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.force_delete

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "AES256"
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name

  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Layers of broken pushes"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Old releases"
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = var.kept_images }
        action       = { type = "expire" }
      },
    ]
  })
}

resource "aws_iam_role_policy" "push" {
  for_each = var.pushers

  name   = "push-${replace(var.name, "/", "-")}"
  role   = each.value
  policy = templatefile("${path.module}/policies/push.json.tftpl", { repository_arn = aws_ecr_repository.this.arn })
}
