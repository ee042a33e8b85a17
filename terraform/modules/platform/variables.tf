variable "environment" {
  description = "Name of the environment. It becomes part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "Must be 2 to 12 lower-case letters and digits, such as dev or prod."
  }
}

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

variable "nat_gateway" {
  description = "Whether nodes are in private subnets behind NAT. NAT costs 39 USD a month with its address."
  type        = bool
  default     = false

  validation {
    condition     = var.nat_gateway != null
    error_message = "Must be true or false."
  }
}

variable "runner" {
  description = "Settings of the EC2 runner, as in the module runner, or null for none. Names of other resources are filled in."
  type = object({
    ssh_cidrs      = optional(list(string), [])
    ssh_public_key = optional(string, "")
    architecture   = optional(string, "x86_64")
    instance_type  = optional(string, "t3.medium")
    repository_url = optional(string, "")
    revision       = optional(string, "main")
  })
  default = null

  validation {
    condition     = var.runner == null || try(length(var.runner.instance_type) > 0, false)
    error_message = "Must be null, or an object with an instance type."
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

variable "catalogue" {
  description = "Whether Glue tables and the Athena workgroup are created. They cost nothing until a query runs."
  type        = bool
  default     = true

  validation {
    condition     = var.catalogue != null
    error_message = "Must be true or false."
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
  description = "Name of the bucket that get_s3_files copies an agency's files from, of this or another account; another one's bucket policy must allow the role, too. Empty: none."
  type        = string
  default     = ""

  validation {
    condition     = var.agency_source_bucket == "" || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.agency_source_bucket))
    error_message = "A bucket name is 3 to 63 lower-case letters, digits, dots and hyphens."
  }
}
