variable "bucket" {
  description = "Name of the lake's bucket, unique in all of AWS. The environments build it as openpayments-dezoomcamp2026-<region>-<suffix>."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket name is 3 to 63 lower-case letters, digits and hyphens, without dots, which break TLS names."
  }
}

variable "overwriters" {
  description = "ARNs of the roles that may replace raw parts and proofs on purpose. The bucket policy denies it to all others, even if their own policy allows it."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.overwriters : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[^*?]+$", arn))])
    error_message = "Each entry must be the ARN of one role, without wildcards, such as arn:aws:iam::123456789012:role/data-pipeline-dev-overwrite."
  }
}

variable "collectors" {
  description = "ARNs of the roles that may delete raw parts and proofs: to collect orphans. The bucket policy denies it to all others, even if their own policy allows it."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.collectors : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[^*?]+$", arn))])
    error_message = "Each entry must be the ARN of one role, without wildcards, such as arn:aws:iam::123456789012:role/data-pipeline-dev-collect."
  }
}

variable "noncurrent_days" {
  description = "Days during which a deleted or replaced version can be restored. 30: longer than the 10 days that counts are cached, and long enough to notice a mistake in a monthly check."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "Must be whole days, at least 1."
  }
}

variable "raw_infrequent_days" {
  description = "Days after which raw parts move to the Intelligent-Tiering class. 30: staging reads a year soon after it is proved; later reads are rare. Standard-IA would charge 0.01 USD per GB for each later read."
  type        = number
  default     = 30

  validation {
    condition     = var.raw_infrequent_days >= 0 && floor(var.raw_infrequent_days) == var.raw_infrequent_days
    error_message = "Must be whole days; 0 means at once."
  }
}

variable "log_days" {
  description = "Days that logs and metrics of runs are kept. 365: CMS republishes at least twice a year, so the log of one publication still exists at the next."
  type        = number
  default     = 365

  validation {
    condition     = var.log_days >= 30 && floor(var.log_days) == var.log_days
    error_message = "Must be whole days, at least 30: an incident may be noticed only at the end of a month."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete a bucket with content. Off: the lake is the only source of truth."
  type        = bool
  default     = false

  validation {
    condition     = var.force_destroy != null
    error_message = "Must be true or false."
  }
}
