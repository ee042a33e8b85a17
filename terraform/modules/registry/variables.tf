variable "name" {
  description = "Name of the repository, which is also the image's name everywhere."
  type        = string
  default     = "etl-data-pipeline"

  validation {
    condition     = can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", var.name))
    error_message = "Must be lower-case letters and digits, joined by '.', '_', '-' or '/'."
  }
}

variable "kept_images" {
  description = "Number of released images that are kept. 20: enough to roll back by months, at about 100 MB and one cent a month each."
  type        = number
  default     = 20

  validation {
    condition     = var.kept_images >= 2 && floor(var.kept_images) == var.kept_images
    error_message = "Must be at least 2: with one, no rollback is possible."
  }
}

variable "pushers" {
  description = "Names of the roles that may push, each under a short name: the runner, which builds the image, or the role of CI."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for role in values(var.pushers) : can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", role))])
    error_message = "Must be names of roles, not ARNs."
  }
}

variable "force_delete" {
  description = "Whether `terraform destroy` may delete a repository with images in it."
  type        = bool
  default     = false

  validation {
    condition     = var.force_delete != null
    error_message = "Must be true or false."
  }
}
