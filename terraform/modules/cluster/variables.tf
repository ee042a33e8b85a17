variable "name" {
  description = "Name of the cluster to create, and prefix of its roles."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name is 3 to 32 lower-case letters, digits and hyphens and begins with a letter, because it becomes part of names of many kinds."
  }
}

variable "mode" {
  description = "none: no Kubernetes. bring: an existing cluster; its names are passed on, nothing is created. create: EKS, 73 USD a month before the first node."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "bring", "create"], var.mode)
    error_message = "Must be none, bring or create."
  }
}

variable "existing_name" {
  description = "With mode bring: name of the cluster."
  type        = string
  default     = ""

  validation {
    condition     = (var.mode == "bring") == (var.existing_name != "")
    error_message = "Give existing_name only with mode = \"bring\", where it is required."
  }
}

variable "existing_oidc_provider_arn" {
  description = "With mode bring: ARN of the cluster's OIDC provider in IAM. Service accounts get their roles through it."
  type        = string
  default     = ""

  validation {
    condition     = (var.mode == "bring") == can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/[^*]+$", var.existing_oidc_provider_arn))
    error_message = "Give the ARN of the OIDC provider only with mode = \"bring\", where it is required: aws iam list-open-id-connect-providers."
  }
}

variable "kubernetes_version" {
  description = "Kubernetes version. 1.33 is the first with a backoff limit per index in Jobs, which the packed fan-out uses. 1.35 is in EKS's standard support until March 2027; then EKS upgrades it automatically: raise it before."
  type        = string
  default     = "1.35"
  nullable    = false # null is the default

  validation {
    condition     = try(tonumber(split(".", var.kubernetes_version)[1]) >= 31, false) && startswith(var.kubernetes_version, "1.")
    error_message = "Must be 1.31 or newer: podFailurePolicy is stable since 1.31."
  }
}

variable "subnet_ids" {
  description = "Subnets of control plane and nodes, in at least two zones, with internet access to reach the source."
  type        = list(string)
  default     = []

  validation {
    condition     = var.mode != "create" || length(var.subnet_ids) >= 2
    error_message = "EKS needs at least two subnets."
  }
}

variable "api_cidrs" {
  description = "IPv4 blocks that may reach the cluster's API. Empty: the API can be reached only from inside the VPC."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.api_cidrs : can(cidrnetmask(cidr)) && cidr != "0.0.0.0/0"])
    error_message = "Must be CIDR blocks such as 203.0.113.0/24, not the whole internet."
  }
}

variable "administrators" {
  description = "ARNs of users or roles that administer the cluster, in addition to its creator."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.administrators : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(user|role)/[^*]+$", arn))])
    error_message = "Each entry must be the ARN of a user or a role, without wildcards."
  }
}

variable "spot_nodes" {
  description = "Maximum number of spot nodes for workers. 4: the source delivers 15 to 39 MB/s in total, which two nodes of two cores can process."
  type        = number
  default     = 4

  validation {
    condition     = var.spot_nodes >= 1 && var.spot_nodes <= 50
    error_message = "Must be 1 to 50 nodes."
  }
}

variable "spot_instance_types" {
  description = "Instance types of the spot group, all with 2 cores and about 8 GB. More types mean fewer interruptions."
  type        = list(string)
  default     = ["m6i.large", "m6a.large", "m5.large", "m5a.large"]

  validation {
    condition     = length(var.spot_instance_types) >= 2
    error_message = "Give at least two types, or one shortage stops all workers."
  }
}
