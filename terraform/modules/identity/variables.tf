variable "name" {
  description = "Prefix of the roles' names, so that two environments can live in one account."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name is 3 to 32 small letters, digits and hyphens, a letter first: it becomes part of names of many kinds."
  }
}

variable "bucket" {
  description = "The lake's bucket, by name: roles may exist before it, and its own policy names some of them."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket name is 3 to 63 small letters, digits and hyphens."
  }
}

variable "people" {
  description = "ARNs of users or roles that may take on the stage roles by hand. Empty: whoever in this account is allowed sts:AssumeRole by a policy of their own."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.people : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(root|user/.+|role/.+)$", arn)) && !strcontains(arn, "*")])
    error_message = "Each is the ARN of a user, a role or an account's root, without wildcards."
  }
}

variable "oidc_provider_arn" {
  description = "The cluster's OIDC provider in IAM; with it each service account gets its role. Empty where there is no cluster."
  type        = string
  default     = ""

  validation {
    condition     = var.oidc_provider_arn == "" || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/[^*]+$", var.oidc_provider_arn))
    error_message = "The ARN of an OIDC provider, such as arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF."
  }
}

variable "namespace" {
  description = "Kubernetes namespace of the service accounts; a service account of the same name in another one gets nothing."
  type        = string
  default     = "data-pipeline"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "A namespace is up to 63 small letters, digits and hyphens."
  }
}

variable "max_session_hours" {
  description = "How long credentials of a role live. 1: workers ask again by themselves, and what leaks is soon worth nothing."
  type        = number
  default     = 1

  validation {
    condition     = var.max_session_hours >= 1 && var.max_session_hours <= 12
    error_message = "One to twelve hours: AWS's own limits."
  }
}
