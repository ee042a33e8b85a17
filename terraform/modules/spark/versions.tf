terraform {
  required_version = ">= 1.9, < 2.0" # validations that refer to other variables need 1.9

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.0"
    }
  }
}
