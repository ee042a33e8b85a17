variable "region" {
  description = "AWS region; must be the provider's. It stands in the bucket's name."
  type        = string
  default     = "us-west-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region such as us-west-1."
  }
}

variable "suffix" {
  description = "End of the bucket's name, openpayments-dezoomcamp2026-<region>-<suffix>: bucket names are shared with the whole world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$", var.suffix))
    error_message = "1 to 12 small letters, digits and inner hyphens; the whole name may have 63 characters."
  }
}

variable "people" {
  description = "ARNs of users or roles that may take on the stage roles by hand. Empty: whoever in the account is allowed sts:AssumeRole."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.people : startswith(arn, "arn:")])
    error_message = "ARNs of users, roles or an account's root."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete the lake and images. True for what is only tried out."
  type        = bool
  default     = false

  validation {
    condition     = var.force_destroy != null
    error_message = "Say true or false."
  }
}
