variable "name" {
  description = "Prefix of every name, so that one account can have two environments."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name is 3 to 32 lower-case letters, digits and hyphens and begins with a letter, because it becomes part of names of many kinds."
  }
}

variable "vpc_id" {
  description = "The VPC of the workgroup's security group."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "A VPC id begins with vpc-."
  }
}

variable "vpc_cidr" {
  description = "IPv4 block of addresses that may connect: the VPC's."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && var.vpc_cidr != "0.0.0.0/0"
    error_message = "Must be the VPC's IPv4 block."
  }
}

variable "subnet_ids" {
  description = "Private subnets. Redshift Serverless requires three subnets in three zones, except in us-west-1, where two zones are enough."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 3
    error_message = "Redshift Serverless needs three subnets."
  }
}

variable "bucket_arn" {
  description = "ARN of the lake's bucket. COPY reads its curated zone."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:s3:::[a-z0-9][a-z0-9-]+$", var.bucket_arn))
    error_message = "Must be the ARN of a bucket."
  }
}

variable "base_capacity" {
  description = "Redshift Processing Units of a query. 8, the minimum: its memory holds a year's curated rows."
  type        = number
  default     = 8

  validation {
    condition     = var.base_capacity >= 8 && var.base_capacity <= 128 && var.base_capacity % 8 == 0
    error_message = "Must be 8 to 128, in steps of 8."
  }
}

variable "rpu_hours_a_month" {
  description = "RPU-hours per month after which queries are refused until the next month. 60: at most about 22 USD."
  type        = number
  default     = 60

  validation {
    condition     = var.rpu_hours_a_month >= 1
    error_message = "Must be at least 1."
  }
}

variable "loaders" {
  description = "Names of the roles that may load, each under a short name. Their own policies let them read manifests."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for role in values(var.loaders) : can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", role))])
    error_message = "Must be names of roles, not ARNs."
  }
}
