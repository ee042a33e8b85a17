variable "name" {
  description = "Prefix of every name, so that two environments can live in one account."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name is 3 to 32 small letters, digits and hyphens, a letter first: it becomes part of names of many kinds."
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
  description = "A public subnet: the runner fetches from the internet, and SSH has to reach it."
  type        = string

  validation {
    condition     = startswith(var.subnet_id, "subnet-")
    error_message = "A subnet id begins with subnet-."
  }
}

variable "instance_profile" {
  description = "Instance profile with the runner's role: the machine holds no key of its own."
  type        = string

  validation {
    condition     = length(var.instance_profile) > 0
    error_message = "Without a profile every call to the lake is refused."
  }
}

variable "role_name" {
  description = "The role of that profile, by name: sessions of Systems Manager are added to it."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.role_name))
    error_message = "A role's name, not its ARN."
  }
}

variable "ssh_cidrs" {
  description = "IPv4 blocks that may reach port 22; IPv6 is not offered. Empty: nobody, use a session of Systems Manager."
  type        = list(string)
  default     = []

  validation {
    condition = alltrue([for cidr in var.ssh_cidrs : can(cidrnetmask(cidr)) && try(cidrsubnet(cidr, 0, 0) == cidr, false)])
    # "203.0.113." and "203.0.113.*" are the ways people say "whatever begins with": the block that means it is named.
    error_message = join(" ", concat(
      ["SSH is opened to CIDR blocks, not to what an address begins with."],
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
    error_message = "A block larger than /8 is the internet; name your own addresses, such as 203.0.113.0/24."
  }
}

variable "ssh_public_key" {
  description = "The public half of a key made by `ssh-keygen -t ed25519`. The private half never leaves the person's machine, nor enters Terraform's state. Empty: no key pair, sessions of Systems Manager only."
  type        = string
  default     = ""

  validation {
    condition     = var.ssh_public_key == "" || can(regex("^(ssh-ed25519|ssh-rsa) [A-Za-z0-9+/=]+( .*)?$", var.ssh_public_key))
    error_message = "A public key is one line that begins with ssh-ed25519 or ssh-rsa: the content of the .pub file."
  }

  validation {
    condition     = var.ssh_public_key != "" || length(var.ssh_cidrs) == 0
    error_message = "Port 22 would be open and no key could enter: give ssh_public_key, or no ssh_cidrs."
  }
}

variable "architecture" {
  description = "Processor: arm64 (a tenth cheaper for the same work) or x86_64 (where an image must run on people's older machines, too)."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "x86_64 or arm64."
  }
}

variable "instance_type" {
  description = "Two cores and 4 GB: a run with eight streams takes some 15 CPU seconds a GB and 100 MB of memory; the rest is for building the image."
  type        = string
  default     = "t3.medium"

  validation {
    condition     = can(regex("^[a-z0-9-]+\\.[a-z0-9]+$", var.instance_type))
    error_message = "An instance type looks like t3.medium."
  }

  validation {
    condition     = (var.architecture == "arm64") == can(regex("^[a-z]+[0-9]+g[a-z]*\\.", var.instance_type))
    error_message = "This instance type is of the other architecture: t3.medium is x86_64, t4g.medium is arm64."
  }
}

variable "disk_gb" {
  description = "Root volume. 40: a year is some 9 GB, once in work and once as a local lake, beside images and the system."
  type        = number
  default     = 40

  validation {
    condition     = var.disk_gb >= 16 && var.disk_gb <= 1000
    error_message = "16 to 1,000 GB: less holds no image beside a year's largest slices."
  }
}

variable "lake_url" {
  description = "LAKE_URL of the jobs on this machine."
  type        = string

  validation {
    condition     = can(regex("^s3://[a-z0-9][a-z0-9-]+[a-z0-9](/[A-Za-z0-9_/-]+)?$", var.lake_url))
    error_message = "A lake on S3 is written s3://bucket or s3://bucket/prefix."
  }
}

variable "repository_url" {
  description = "Where the machine clones this repository from, over https. Empty: a person copies it there."
  type        = string
  default     = ""

  validation {
    condition     = var.repository_url == "" || can(regex("^https://[A-Za-z0-9./_-]+$", var.repository_url))
    error_message = "An https:// address without a user, password or token: user-data can be read by everybody on the machine."
  }
}

variable "revision" {
  description = "Tag or commit to check out, so that a machine made again next year runs the same code."
  type        = string
  default     = "main"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._/-]*$", var.revision))
    error_message = "A tag, a branch or a commit."
  }
}
