variable "name" {
  description = "Prefix of every name, so that one account can have two environments."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name is 3 to 32 lower-case letters, digits and hyphens and begins with a letter, because it becomes part of names of many kinds."
  }
}

variable "cidr" {
  description = "IPv4 block of the VPC. A /16 split into /20 subnets has room for pods, which need one address each on EKS."
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(tonumber(split("/", var.cidr)[1]) <= 20, false)
    error_message = "The VPC needs an IPv4 block of /20 or larger, such as 10.42.0.0/16."
  }
}

variable "subnets" {
  description = "Number of public subnets, and of private ones. 3, because Redshift Serverless needs three. They are distributed over the available zones (most accounts have two in us-west-1, which is enough for Redshift there)."
  type        = number
  default     = 3

  validation {
    condition     = var.subnets >= 2 && var.subnets <= 4 && floor(var.subnets) == var.subnets
    error_message = "Must be 2 to 4: EKS refuses fewer than two."
  }
}

variable "nat_gateway" {
  description = "Whether machines in private subnets reach the internet. Off by default: it costs about 39 USD a month, address included, even without traffic, and the runner is in a public subnet."
  type        = bool
  default     = false

  validation {
    condition     = var.nat_gateway != null
    error_message = "Must be true or false."
  }
}
