mock_provider "aws" {
  mock_resource "aws_ecr_repository" {
    defaults = { arn = "arn:aws:ecr:us-west-1:123456789012:repository/etl-data-pipeline" }
  }
}

variables {
  pushers = { runner = "data-pipeline-dev-runner" }
}

run "tags_cannot_move_and_images_are_scanned" {
  command = plan

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push
    error_message = "An image may change under its name, or is not scanned."
  }
  assert {
    condition     = [for rule in jsondecode(aws_ecr_lifecycle_policy.this.policy).rules : rule.rulePriority] == [1, 2]
    error_message = "Old images stay for ever."
  }
}

run "pushing_is_for_this_repository_alone" {
  command = apply

  assert {
    condition     = jsondecode(aws_iam_role_policy.push["runner"].policy).Statement[1].Resource == aws_ecr_repository.this.arn
    error_message = "Whoever pushes here may push elsewhere."
  }
}

run "keeping_one_image_is_refused" {
  command = plan

  variables {
    kept_images = 1
  }
  expect_failures = [var.kept_images]
}
