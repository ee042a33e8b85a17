variable "environment" {
  description = "Which of the environments this is; becomes part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "2 to 12 small letters and digits, such as dev or prod."
  }
}

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

variable "nat_gateway" {
  description = "Whether nodes live in private subnets behind NAT; 39 USD a month with its address."
  type        = bool
  default     = false

  validation {
    condition     = var.nat_gateway != null
    error_message = "Say true or false."
  }
}

variable "runner" {
  description = "The EC2 runner, or null for none: what the module runner takes, without names of other resources."
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
    error_message = "null, or an object with an instance type."
  }
}

variable "cluster" {
  description = "Kubernetes: none, bring (with name and oidc_provider_arn) or create; what the module cluster takes."
  type = object({
    mode              = optional(string, "none")
    name              = optional(string, "")
    oidc_provider_arn = optional(string, "")
    api_cidrs         = optional(list(string), [])
    administrators    = optional(list(string), [])
    spot_nodes        = optional(number, 4)
    version           = optional(string) # of Kubernetes; null: the module cluster's default
  })
  default = {}

  validation {
    condition     = contains(["none", "bring", "create"], var.cluster.mode)
    error_message = "mode is none, bring or create."
  }
}

variable "catalogue" {
  description = "Whether Glue tables and the Athena workgroup are made. They cost nothing until a query runs."
  type        = bool
  default     = true

  validation {
    condition     = var.catalogue != null
    error_message = "Say true or false."
  }
}

variable "warehouse" {
  description = "Whether Redshift Serverless is made. Off: there is no curated zone to load yet."
  type        = bool
  default     = false

  validation {
    condition     = var.warehouse != null
    error_message = "Say true or false."
  }
}
