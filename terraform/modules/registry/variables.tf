variable "name" {
  description = "Name of the repository, as the image is called everywhere."
  type        = string
  default     = "etl-data-pipeline"

  validation {
    condition     = can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", var.name))
    error_message = "Small letters and digits, joined by '.', '_', '-' or '/'."
  }
}

variable "kept_images" {
  description = "Released images that are kept. 20: a rollback of months, at some 100 MB and one cent a month each."
  type        = number
  default     = 20

  validation {
    condition     = var.kept_images >= 2 && floor(var.kept_images) == var.kept_images
    error_message = "Two at least: with one, nothing can be rolled back to."
  }
}

variable "pushers" {
  description = "Names of the roles that may push, by a short name each: the runner, which builds the image, or CI's role."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for role in values(var.pushers) : can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", role))])
    error_message = "Names of roles, not ARNs."
  }
}

variable "force_delete" {
  description = "Whether `terraform destroy` may delete a repository with images in it."
  type        = bool
  default     = false

  validation {
    condition     = var.force_delete != null
    error_message = "Say true or false."
  }
}
