# A separate VPC: it shares no addresses, routes or security groups with other resources of the account.

data "aws_region" "current" {}

data "aws_availability_zones" "usable" {
  # checkov:skip=CKV_AWS_394:A zone that AWS adds moves no subnet: changes of a subnet's zone are ignored after its creation.
  state = "available"

  filter { # no Local Zones: they lack EKS control planes and some instance types
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  zones = data.aws_availability_zones.usable.names
}

resource "aws_vpc" "this" {
  # checkov:skip=CKV2_AWS_11:Flow logs cost 0.50 USD per GB, and the data is public; switch them on in an incident.
  cidr_block           = var.cidr
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = { Name = var.name }
}

# The default group of a VPC lets its members connect to each other. No machine should be in it by accident.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-unused" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = var.name }
}

resource "aws_subnet" "public" {
  count = var.subnets

  vpc_id                  = aws_vpc.this.id
  availability_zone       = local.zones[count.index % length(local.zones)]
  cidr_block              = cidrsubnet(var.cidr, 4, count.index)
  map_public_ip_on_launch = !var.nat_gateway # without NAT, cluster nodes are here and need a public address
  # checkov:skip=CKV_AWS_130:Without NAT a machine needs a public address to reach the source; its security group allows no incoming traffic.

  tags = {
    Name                     = "${var.name}-public-${count.index}"
    "kubernetes.io/role/elb" = "1"
  }

  lifecycle {
    ignore_changes = [availability_zone] # a zone that AWS adds would change the assignment and replace subnets in use
  }
}

resource "aws_subnet" "private" {
  count = var.subnets

  vpc_id            = aws_vpc.this.id
  availability_zone = local.zones[count.index % length(local.zones)]
  cidr_block        = cidrsubnet(var.cidr, 4, 8 + count.index)

  tags = {
    Name                              = "${var.name}-private-${count.index}"
    "kubernetes.io/role/internal-elb" = "1"
  }

  lifecycle {
    ignore_changes = [availability_zone] # the same
  }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-public" }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  count = var.subnets

  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-private" }
}

resource "aws_route_table_association" "private" {
  count = var.subnets

  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private.id
}

# One NAT gateway, not one per zone: jobs can wait until a zone is back, and each gateway costs 35 USD a month.
resource "aws_eip" "nat" {
  # checkov:skip=CKV2_AWS_19:It belongs to the NAT gateway below; the scanner knows only instances.
  count = var.nat_gateway ? 1 : 0

  domain = "vpc"

  tags = { Name = "${var.name}-nat" }
}

resource "aws_nat_gateway" "this" {
  count = var.nat_gateway ? 1 : 0

  allocation_id = aws_eip.nat[0].id
  subnet_id     = aws_subnet.public[0].id

  tags = { Name = var.name }

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route" "nat" {
  count = var.nat_gateway ? 1 : 0

  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[0].id
}

# Free. Without it, lake traffic through NAT would cost 0.048 USD per GB.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${data.aws_region.current.name}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.public.id, aws_route_table.private.id]

  tags = { Name = "${var.name}-s3" }
}
