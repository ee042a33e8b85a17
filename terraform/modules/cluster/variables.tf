variable "name" {
  description = "Name of the cluster to make, and prefix of its roles."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name is 3 to 32 small letters, digits and hyphens, a letter first: it becomes part of names of many kinds."
  }
}

variable "mode" {
  description = "none: no Kubernetes; bring: a cluster that is there, whose names are passed on and nothing is made; create: EKS, 73 USD a month before the first node."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "bring", "create"], var.mode)
    error_message = "none, bring or create."
  }
}

variable "existing_name" {
  description = "With mode bring: the cluster's name."
  type        = string
  default     = ""

  validation {
    condition     = (var.mode == "bring") == (var.existing_name != "")
    error_message = "Give existing_name with mode = \"bring\", and only then."
  }
}

variable "existing_oidc_provider_arn" {
  description = "With mode bring: the cluster's OIDC provider in IAM, without which service accounts get no roles."
  type        = string
  default     = ""

  validation {
    condition     = (var.mode == "bring") == can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/[^*]+$", var.existing_oidc_provider_arn))
    error_message = "With mode = \"bring\", and only then, give the ARN of the OIDC provider: aws iam list-open-id-connect-providers."
  }
}

variable "kubernetes_version" {
  description = "1.33 is the first with limits of tries per index in Jobs, which the packed fan-out uses; 1.35 is in EKS's standard support until March 2027, then EKS upgrades by itself: raise it before."
  type        = string
  default     = "1.35"
  nullable    = false # null is the default

  validation {
    condition     = try(tonumber(split(".", var.kubernetes_version)[1]) >= 31, false) && startswith(var.kubernetes_version, "1.")
    error_message = "1.31 or newer: podFailurePolicy is stable from there on."
  }
}

variable "subnet_ids" {
  description = "Subnets of control plane and nodes, in two zones at least, with a way to the internet: the source is there."
  type        = list(string)
  default     = []

  validation {
    condition     = var.mode != "create" || length(var.subnet_ids) >= 2
    error_message = "EKS wants two subnets at least."
  }
}

variable "api_cidrs" {
  description = "IPv4 blocks that may reach the cluster's API. Without any the API answers inside the VPC alone."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.api_cidrs : can(cidrnetmask(cidr)) && cidr != "0.0.0.0/0"])
    error_message = "CIDR blocks such as 203.0.113.0/24, and not the whole internet."
  }
}

variable "administrators" {
  description = "ARNs of users or roles who administer the cluster, beside whoever made it."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.administrators : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(user|role)/[^*]+$", arn))])
    error_message = "Each is the ARN of a user or a role, without wildcards."
  }
}

variable "spot_nodes" {
  description = "Most spot nodes for workers. 4: the source gives 15 to 39 MB/s whoever asks, which two nodes of two cores digest."
  type        = number
  default     = 4

  validation {
    condition     = var.spot_nodes >= 1 && var.spot_nodes <= 50
    error_message = "1 to 50 nodes."
  }
}

variable "spot_instance_types" {
  description = "Types the spot group may take, all of 2 cores and 8 GB or so: the more types, the fewer interruptions."
  type        = list(string)
  default     = ["m6i.large", "m6a.large", "m5.large", "m5a.large"]

  validation {
    condition     = length(var.spot_instance_types) >= 2
    error_message = "Two types at least, or one shortage stops all workers."
  }
}
