variable "name" {
  description = "Prefix of every name, so that one account can have two environments."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name is 3 to 32 lower-case letters, digits and hyphens and begins with a letter, because it becomes part of names of many kinds."
  }
}

variable "vpc_id" {
  description = "The VPC of the runner's security group."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "A VPC id begins with vpc-."
  }
}

variable "subnet_id" {
  description = "A public subnet: the runner fetches from the internet and must be reachable by SSH."
  type        = string

  validation {
    condition     = startswith(var.subnet_id, "subnet-")
    error_message = "A subnet id begins with subnet-."
  }
}

variable "instance_profile" {
  description = "Instance profile with the runner's role. The machine has no keys."
  type        = string

  validation {
    condition     = length(var.instance_profile) > 0
    error_message = "Without a profile every call to the lake is refused."
  }
}

variable "role_name" {
  description = "Name of the role of that profile. The rights for Systems Manager sessions are added to it."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.role_name))
    error_message = "Must be a role's name, not its ARN."
  }
}

variable "ssh_cidrs" {
  description = "IPv4 blocks that may reach port 22; IPv6 is not supported. Empty: none, use Systems Manager sessions."
  type        = list(string)
  default     = []

  validation {
    condition = alltrue([for cidr in var.ssh_cidrs : can(cidrnetmask(cidr)) && try(cidrsubnet(cidr, 0, 0) == cidr, false)])
    # People write "203.0.113." or "203.0.113.*" for all addresses that begin so: the message gives the block to write.
    error_message = join(" ", concat(
      ["SSH is opened to CIDR blocks, not to address prefixes."],
      [
        for cidr in var.ssh_cidrs :
        can(cidrsubnet(cidr, 0, 0)) ? "Write \"${cidrsubnet(cidr, 0, 0)}\" instead of \"${cidr}\"." : format(
          "Write \"%s/%d\" instead of \"%s\".",
          join(".", slice(concat(regexall("[0-9]+", split("/", cidr)[0]), ["0", "0", "0", "0"]), 0, 4)),
          8 * min(4, length(regexall("[0-9]+", split("/", cidr)[0]))),
          cidr,
        )
        if !(can(cidrnetmask(cidr)) && try(cidrsubnet(cidr, 0, 0) == cidr, false))
      ]
    ))
  }

  validation {
    condition     = alltrue([for cidr in var.ssh_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, true)])
    error_message = "A block larger than /8 is too much of the internet. Give your own addresses, such as 203.0.113.0/24."
  }
}

variable "ssh_public_key" {
  description = "The public half of a key made with `ssh-keygen -t ed25519`. The private half stays on your machine and never enters Terraform's state. Empty: no key pair, only Systems Manager sessions."
  type        = string
  default     = ""

  validation {
    condition     = var.ssh_public_key == "" || can(regex("^(ssh-ed25519|ssh-rsa) [A-Za-z0-9+/=]+( .*)?$", var.ssh_public_key))
    error_message = "A public key is one line that begins with ssh-ed25519 or ssh-rsa: the content of the .pub file."
  }

  validation {
    condition     = var.ssh_public_key != "" || length(var.ssh_cidrs) == 0
    error_message = "Port 22 would be open, but no key could log in: give ssh_public_key, or no ssh_cidrs."
  }
}

variable "architecture" {
  description = "Processor architecture: arm64 (10 % cheaper for the same work) or x86_64 (if the image must also run on older machines)."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "Must be x86_64 or arm64."
  }
}

variable "instance_type" {
  description = "Instance type. Two cores and 4 GB: a run with eight streams needs about 15 CPU seconds per GB and 100 MB of memory; building the image needs the rest."
  type        = string
  default     = "t3.medium"

  validation {
    condition     = can(regex("^[a-z0-9-]+\\.[a-z0-9]+$", var.instance_type))
    error_message = "An instance type looks like t3.medium."
  }

  validation {
    condition     = (var.architecture == "arm64") == can(regex("^[a-z]+[0-9]+g[a-z]*\\.", var.instance_type))
    error_message = "This instance type has the other architecture: t3.medium is x86_64, t4g.medium is arm64."
  }
}

variable "disk_gb" {
  description = "Root volume in GB. 40: a year is about 9 GB, needed once for scratch files and once for a local lake, beside images and the system."
  type        = number
  default     = 40

  validation {
    condition     = var.disk_gb >= 16 && var.disk_gb <= 1000
    error_message = "Must be 16 to 1,000 GB: less has no room for an image beside a year's largest slices."
  }
}

variable "lake_url" {
  description = "The setting LAKE_URL of the jobs on this machine."
  type        = string

  validation {
    condition     = can(regex("^s3://[a-z0-9][a-z0-9-]+[a-z0-9](/[A-Za-z0-9_/-]+)?$", var.lake_url))
    error_message = "A lake on S3 is written s3://bucket or s3://bucket/prefix."
  }
}

variable "repository_url" {
  description = "https address from which the machine clones this repository. Empty: a person copies it there."
  type        = string
  default     = ""

  validation {
    condition     = var.repository_url == "" || can(regex("^https://[A-Za-z0-9./_-]+$", var.repository_url))
    error_message = "Must be an https:// address without a user, password or token: everybody on the machine can read user-data."
  }
}

variable "revision" {
  description = "Tag or commit to check out, so that a machine created next year runs the same code."
  type        = string
  default     = "main"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._/-]*$", var.revision))
    error_message = "Must be a tag, a branch or a commit."
  }
}
