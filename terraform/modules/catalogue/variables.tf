variable "name" {
  description = "Prefix of every name, so that one account can have two environments."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name is 3 to 32 lower-case letters, digits and hyphens and begins with a letter, because it becomes part of names of many kinds."
  }
}

variable "lake_bucket" {
  description = "Name of the lake's bucket, which the tables read."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.lake_bucket))
    error_message = "A bucket name is 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "results_bucket" {
  description = "A separate bucket for query results: they expire, and they are not written create-only."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.results_bucket)) && var.results_bucket != var.lake_bucket
    error_message = "Must be another bucket than the lake's: 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "first_year" {
  description = "First program year that queries may name. 2018: the oldest year that the source still publishes."
  type        = number
  default     = 2018

  validation {
    condition     = var.first_year >= 2013 && var.first_year <= 2100
    error_message = "Must be 2013 or later: Open Payments begins with 2013."
  }
}

variable "last_year" {
  description = "Last program year that queries may name. Years without data cost nothing."
  type        = number
  default     = 2035

  validation {
    condition     = var.last_year >= var.first_year && var.last_year <= 2100
    error_message = "Must not be before first_year."
  }
}

variable "most_gb_a_query" {
  description = "GB that a query may read before it is stopped. 20: a year of 9 GB, twice; at 5 USD per TB that is 10 cents."
  type        = number
  default     = 20

  validation {
    condition     = var.most_gb_a_query >= 1 && var.most_gb_a_query <= 1000
    error_message = "Must be 1 to 1,000 GB."
  }
}

variable "results_days" {
  description = "Days after which results are deleted. 7: copy a result elsewhere to keep it longer."
  type        = number
  default     = 7

  validation {
    condition     = var.results_days >= 1 && floor(var.results_days) == var.results_days
    error_message = "Must be whole days, at least 1."
  }
}

variable "readers" {
  description = "Names of the roles that may query, each under a short name. Their own policies let them read the lake."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for role in values(var.readers) : can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", role))])
    error_message = "Must be names of roles, not ARNs."
  }
}

variable "publishers" {
  description = "Names of the roles that may publish curated tables, each under a short name."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for role in values(var.publishers) : can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", role))])
    error_message = "Must be names of roles, not ARNs."
  }
}
