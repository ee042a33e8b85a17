# A VPC of its own: nothing here shares addresses, routes or security groups with what an account already has.

data "aws_region" "current" {}

data "aws_availability_zones" "usable" {
  # checkov:skip=CKV_AWS_394:A zone that AWS adds moves no subnet: their zones are ignored once they are made.
  state = "available"

  filter { # no Local Zones: they have neither EKS control planes nor all instance types
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  zones = data.aws_availability_zones.usable.names
}

resource "aws_vpc" "this" {
  # checkov:skip=CKV2_AWS_11:Flow logs cost 0.50 USD a GB, of public data; switch them on in an incident.
  cidr_block           = var.cidr
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = { Name = var.name }
}

# The group that AWS makes with a VPC lets its members talk to each other; nobody should be in it unawares.
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
  map_public_ip_on_launch = !var.nat_gateway # without NAT, cluster nodes live here and need an address of their own
  # checkov:skip=CKV_AWS_130:Without NAT a machine needs a public address to reach the source; its security group lets nothing in.

  tags = {
    Name                     = "${var.name}-public-${count.index}"
    "kubernetes.io/role/elb" = "1"
  }

  lifecycle {
    ignore_changes = [availability_zone] # a zone that AWS adds would turn the round, and replace subnets in use
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
    ignore_changes = [availability_zone] # likewise
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

# One NAT gateway, not one a zone: what runs behind it can wait for a zone to come back, and each costs 35 USD a month.
resource "aws_eip" "nat" {
  # checkov:skip=CKV2_AWS_19:It belongs to the NAT gateway below; the scanner sees only instances.
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

# Free, and the reason why reading and writing the lake costs nothing by the byte: past NAT it would be 0.048 USD a GB.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${data.aws_region.current.name}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.public.id, aws_route_table.private.id]

  tags = { Name = "${var.name}-s3" }
}
