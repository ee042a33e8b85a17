terraform {
  required_version = ">= 1.11, < 2.0" # the state's lock file in S3, without a DynamoDB table, needs 1.11

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.0"
    }
  }

  # The bucket is given at init: -backend-config="bucket=…" -backend-config="region=…"
  backend "s3" {
    key          = "prod/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      project     = "openpayments-data-pipeline"
      environment = "prod"
      made_by     = "terraform"
    }
  }
}
