# One machine that ingests end to end. It can be deleted at any time: finished work is in the lake.

data "aws_region" "current" {}

data "aws_ssm_parameter" "image" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${var.architecture}"
}

locals {
  # Versions and checksums as the official image docker:cli pins them. AL2023 has no compose, and its docker includes
  # buildx 0.12, but compose needs 0.17 to build. Plugins in /usr/local/lib take precedence.
  plugins = jsondecode(file("${path.module}/plugins.json"))

  user_data = templatefile("${path.module}/user_data.sh.tftpl", {
    compose        = local.plugins.compose
    buildx         = local.plugins.buildx
    lake_url       = var.lake_url
    region         = data.aws_region.current.name
    repository_url = var.repository_url
    revision       = var.revision
  })
}

# Sessions without a key, an open port or an address, as an alternative to SSH. AWS's own policy for them,
# AmazonSSMManagedInstanceCore, would also let the machine read every parameter of the account.
resource "aws_iam_role_policy" "session" {
  name   = "session"
  role   = var.role_name
  policy = templatefile("${path.module}/policies/session.json.tftpl", {})
}

resource "aws_key_pair" "this" {
  count = var.ssh_public_key == "" ? 0 : 1

  key_name   = "${var.name}-runner"
  public_key = var.ssh_public_key
}

resource "aws_security_group" "this" {
  name        = "${var.name}-runner"
  description = "The runner: SSH from listed blocks, https and http out"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-runner" }
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  for_each = toset(var.ssh_cidrs)

  security_group_id = aws_security_group.this.id
  description       = "SSH from ${each.value}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
}

# The addresses of the source, package mirrors and AWS change: rules can name ports, but not hosts.
resource "aws_vpc_security_group_egress_rule" "web" {
  for_each = { https = 443, http = 80 }

  security_group_id = aws_security_group.this.id
  description       = "${each.key} to the source, mirrors and AWS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

resource "aws_instance" "this" {
  # checkov:skip=CKV_AWS_126:Detailed monitoring costs 2 USD a month; a run's own report has the same information.
  # checkov:skip=CKV_AWS_135:Instances of this generation are EBS-optimised by default.
  # checkov:skip=CKV_AWS_88:It fetches from the internet and must be reachable by SSH; the security group limits from where.
  ami                         = data.aws_ssm_parameter.image.insecure_value
  instance_type               = var.instance_type
  subnet_id                   = var.subnet_id
  vpc_security_group_ids      = [aws_security_group.this.id]
  iam_instance_profile        = var.instance_profile
  key_name                    = one(aws_key_pair.this[*].key_name)
  associate_public_ip_address = true
  user_data                   = local.user_data
  user_data_replace_on_change = true # otherwise it is stopped, changed and started, and the new script never runs

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required" # IMDSv2: a forged request through the machine cannot get the role's credentials
    http_put_response_hop_limit = 2          # a container is one hop further away; with 1, jobs in docker would have no role
  }

  root_block_device {
    volume_size = var.disk_gb
    volume_type = "gp3"
    encrypted   = true
  }

  tags = { Name = "${var.name}-runner" }

  lifecycle {
    ignore_changes = [ami] # a new Amazon image must not replace a running machine; use `-replace` to do it
  }
}
