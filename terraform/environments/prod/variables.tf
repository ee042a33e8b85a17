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

variable "ssh_cidrs" {
  description = "IPv4 blocks that may reach the runner's port 22, such as 203.0.113.0/24. Empty: none; `aws ssm start-session` still works."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.ssh_cidrs) <= 20
    error_message = "At most 20 blocks: a security group takes 60 rules. The module runner checks each block."
  }
}

variable "ssh_public_key" {
  description = "Content of the .pub file of a key made with `ssh-keygen -t ed25519`. Required with ssh_cidrs."
  type        = string
  default     = ""

  validation {
    condition     = !strcontains(var.ssh_public_key, "PRIVATE")
    error_message = "This is the private key, which must stay on your machine. Give the content of the .pub file."
  }
}

variable "repository_url" {
  description = "https address from which the runner clones this repository. Empty: a person copies the repository to the runner."
  type        = string
  default     = ""

  validation {
    condition     = var.repository_url == "" || startswith(var.repository_url, "https://")
    error_message = "Must be an https:// address."
  }
}

variable "revision" {
  description = "Tag or commit the runner checks out."
  type        = string
  default     = "main"

  validation {
    condition     = length(var.revision) > 0
    error_message = "Must be a tag, a branch or a commit."
  }
}

variable "cluster" {
  description = "Kubernetes: mode none, bring (with name and oidc_provider_arn) or create. The fields are those of the module cluster."
  type = object({
    mode              = optional(string, "none")
    name              = optional(string, "")
    oidc_provider_arn = optional(string, "")
    api_cidrs         = optional(list(string), [])
    administrators    = optional(list(string), [])
    spot_nodes        = optional(number, 4)
    version           = optional(string) # Kubernetes version; null: the default of the module cluster
  })
  default = {}

  validation {
    condition     = contains(["none", "bring", "create"], var.cluster.mode)
    error_message = "mode must be none, bring or create."
  }
}

variable "warehouse" {
  description = "Whether Redshift Serverless is created. Off: there is no curated zone to load yet."
  type        = bool
  default     = false

  validation {
    condition     = var.warehouse != null
    error_message = "Must be true or false."
  }
}

variable "agency_source_bucket" {
  description = "Bucket that get_s3_files copies an agency's files from. Empty: none."
  type        = string
  default     = ""

  validation {
    condition     = !strcontains(var.agency_source_bucket, "/")
    error_message = "The name of a bucket, without s3:// and without a prefix."
  }
}
