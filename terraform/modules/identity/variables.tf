variable "name" {
  description = "Prefix of the roles' names, so that one account can have two environments."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name is 3 to 32 lower-case letters, digits and hyphens and begins with a letter, because it becomes part of names of many kinds."
  }
}

variable "bucket" {
  description = "Name of the lake's bucket. A name, because the roles are created before the bucket, whose own policy names some of them."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket name is 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "people" {
  description = "ARNs of users or roles that may assume the stage roles. Empty: every principal of this account whose own policy allows sts:AssumeRole."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.people : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(root|user/.+|role/.+)$", arn)) && !strcontains(arn, "*")])
    error_message = "Each entry must be the ARN of a user, a role or an account's root, without wildcards."
  }
}

variable "oidc_provider_arn" {
  description = "ARN of the cluster's OIDC provider in IAM. Service accounts get their roles through it. Empty without a cluster."
  type        = string
  default     = ""

  validation {
    condition     = var.oidc_provider_arn == "" || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/[^*]+$", var.oidc_provider_arn))
    error_message = "Must be the ARN of an OIDC provider, such as arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF."
  }
}

variable "namespace" {
  description = "Kubernetes namespace of the service accounts. A service account of the same name in another namespace gets no rights."
  type        = string
  default     = "data-pipeline"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "A namespace is up to 63 lower-case letters, digits and hyphens."
  }
}

variable "max_session_hours" {
  description = "Hours until credentials of a role expire. 1: workers renew them automatically, and leaked ones soon become useless."
  type        = number
  default     = 1

  validation {
    condition     = var.max_session_hours >= 1 && var.max_session_hours <= 12
    error_message = "Must be 1 to 12 hours: these are AWS's limits."
  }
}

variable "agency_source_bucket" {
  description = "Name of the bucket that get_s3_files copies an agency's files from, of this or another account; another one's bucket policy must allow the role, too. Empty: none."
  type        = string
  default     = ""

  validation {
    condition     = var.agency_source_bucket == "" || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.agency_source_bucket))
    error_message = "A bucket name is 3 to 63 lower-case letters, digits, dots and hyphens."
  }
}
