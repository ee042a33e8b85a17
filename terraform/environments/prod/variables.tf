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

variable "ssh_cidrs" {
  description = "IPv4 blocks that may reach the runner's port 22, such as 203.0.113.0/24. Empty: nobody; `aws ssm start-session` works without."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.ssh_cidrs) <= 20
    error_message = "Twenty blocks at most: a security group takes 60 rules. What a block is, the module runner checks."
  }
}

variable "ssh_public_key" {
  description = "Content of the .pub file of a key made by `ssh-keygen -t ed25519`; needed with ssh_cidrs."
  type        = string
  default     = ""

  validation {
    condition     = !strcontains(var.ssh_public_key, "PRIVATE")
    error_message = "That is the private half: it stays with you. Give the content of the .pub file."
  }
}

variable "repository_url" {
  description = "Where the runner clones this repository from, over https. Empty: a person copies it there."
  type        = string
  default     = ""

  validation {
    condition     = var.repository_url == "" || startswith(var.repository_url, "https://")
    error_message = "An https:// address."
  }
}

variable "revision" {
  description = "Tag or commit the runner checks out."
  type        = string
  default     = "main"

  validation {
    condition     = length(var.revision) > 0
    error_message = "A tag, a branch or a commit."
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

variable "warehouse" {
  description = "Whether Redshift Serverless is made. Off: there is no curated zone to load yet."
  type        = bool
  default     = false

  validation {
    condition     = var.warehouse != null
    error_message = "Say true or false."
  }
}
