variable "name" {
  description = "Prefix of every name, so that two environments can live in one account."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name is 3 to 32 small letters, digits and hyphens, a letter first: it becomes part of names of many kinds."
  }
}

variable "cidr" {
  description = "Addresses of the VPC. A /16, cut into /20 subnets, leaves room for pods, which take an address each on EKS."
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(tonumber(split("/", var.cidr)[1]) <= 20, false)
    error_message = "The VPC needs an IPv4 block of /20 or larger, such as 10.42.0.0/16."
  }
}

variable "subnets" {
  description = "Public and private subnets, each. Three, because Redshift Serverless asks for three; they go round the zones there are (us-west-1 shows most accounts two, and that is enough for it there)."
  type        = number
  default     = 3

  validation {
    condition     = var.subnets >= 2 && var.subnets <= 4 && floor(var.subnets) == var.subnets
    error_message = "Two to four: EKS refuses fewer than two."
  }
}

variable "nat_gateway" {
  description = "Whether machines in private subnets reach the internet. Off by default: it costs some 39 USD a month, address included, before a byte flows, and the runner is in a public subnet."
  type        = bool
  default     = false

  validation {
    condition     = var.nat_gateway != null
    error_message = "Say true or false."
  }
}
