variable "bucket" {
  description = "Name of the lake's bucket, unique in the world. The environments build it as openpayments-dezoomcamp2026-<region>-<suffix>."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket name is 3 to 63 small letters, digits and hyphens; no dots, which break TLS names."
  }
}

variable "overwriters" {
  description = "ARNs of the roles that may remove raw parts and proofs: overwriting on purpose, and collecting what nothing names. Everybody else is refused by the bucket itself, whatever their own policy says."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.overwriters : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[^*?]+$", arn))])
    error_message = "Each is the ARN of one role, without wildcards, such as arn:aws:iam::123456789012:role/data-pipeline-dev-overwrite."
  }
}

variable "noncurrent_days" {
  description = "Days that a deleted or replaced version can be brought back. 30: longer than the 10 days that counts are cached, long enough for a mistake to be noticed at the next monthly look."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "Whole days, one at least."
  }
}

variable "raw_infrequent_days" {
  description = "Days after which raw parts move to the Intelligent-Tiering class. 30: a year is read by staging soon after it is proved, and rarely later; Standard-IA would charge 0.01 USD a GB for each later read."
  type        = number
  default     = 30

  validation {
    condition     = var.raw_infrequent_days >= 0 && floor(var.raw_infrequent_days) == var.raw_infrequent_days
    error_message = "Whole days, none for at once."
  }
}

variable "log_days" {
  description = "Days that logs and metrics of runs are kept. 365: a program year is republished twice, so the log of its last publication is still there at the next."
  type        = number
  default     = 365

  validation {
    condition     = var.log_days >= 30 && floor(var.log_days) == var.log_days
    error_message = "Whole days, 30 at least: an incident is sometimes seen at the end of a month."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete a bucket with content. Off: the lake is the only truth there is."
  type        = bool
  default     = false

  validation {
    condition     = var.force_destroy != null
    error_message = "Say true or false."
  }
}
