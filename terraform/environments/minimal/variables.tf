variable "region" {
  description = "AWS region, the same as the provider's. It is part of the bucket's name."
  type        = string
  default     = "us-west-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "Must be a region such as us-west-1."
  }
}

variable "suffix" {
  description = "End of the bucket's name, openpayments-dezoomcamp2026-<region>-<suffix>. Bucket names must be unique in all of AWS."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$", var.suffix))
    error_message = "Must be 1 to 12 lower-case letters, digits and inner hyphens; the whole name may have 63 characters."
  }
}

variable "people" {
  description = "ARNs of users or roles that may assume the stage roles. Empty: every principal of the account that is allowed sts:AssumeRole."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.people : startswith(arn, "arn:")])
    error_message = "Each entry must be the ARN of a user, a role or an account's root."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete the lake and images. True for experiments only."
  type        = bool
  default     = false

  validation {
    condition     = var.force_destroy != null
    error_message = "Must be true or false."
  }
}
