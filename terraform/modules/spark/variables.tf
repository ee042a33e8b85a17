variable "name" {
  description = "Prefix of every name, so that one account can have two environments."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name is 3 to 32 lower-case letters, digits and hyphens and begins with a letter, because it becomes part of names of many kinds."
  }
}

variable "bucket" {
  description = "The lake's bucket. Code is below spark/code/ in it, the scratch below spark/scratch/."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "Must be the name of a bucket."
  }
}

variable "wheels" {
  description = "Names of our wheels and of the wheels they need below s3://BUCKET/spark/code/, for Glue."
  type        = list(string)

  validation {
    condition     = alltrue([for one in var.wheels : endswith(one, ".whl")])
    error_message = "Each is the name of a wheel."
  }
}

variable "vcpus" {
  description = "Most processors of all executors together. 16 stage and sort a year in minutes."
  type        = number
  default     = 16

  validation {
    condition     = var.vcpus >= 4 && var.vcpus <= 400
    error_message = "Must be 4 to 400."
  }
}
