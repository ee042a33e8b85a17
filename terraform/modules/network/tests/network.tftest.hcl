mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-west-1a", "us-west-1c"] }
  }
  mock_data "aws_region" {
    defaults = { name = "us-west-1" }
  }
}

variables {
  name = "data-pipeline-dev"
}

run "three_subnets_go_round_two_zones" {
  command = plan

  assert {
    condition     = [for subnet in aws_subnet.private : subnet.availability_zone] == ["us-west-1a", "us-west-1c", "us-west-1a"]
    error_message = "Redshift Serverless wants three subnets; us-west-1 has two zones."
  }
  assert {
    condition     = length(distinct(concat(aws_subnet.public[*].cidr_block, aws_subnet.private[*].cidr_block))) == 6
    error_message = "Subnets overlap."
  }
}

run "the_public_way_out_is_the_internet_gateway" {
  command = apply

  assert {
    condition     = aws_route.internet.gateway_id == aws_internet_gateway.this.id && length(aws_route_table_association.public) == 3
    error_message = "Public subnets have no way out."
  }
  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3.service_name == "com.amazonaws.us-west-1.s3"
    error_message = "Lake traffic is not free."
  }
  assert {
    condition     = aws_vpc_endpoint.s3.route_table_ids == toset([aws_route_table.public.id, aws_route_table.private.id])
    error_message = "Some subnets reach the lake past the endpoint."
  }
  assert {
    condition     = output.node_subnet_ids == output.public_subnet_ids
    error_message = "Without NAT, nodes in private subnets reach no source."
  }
}

run "nat_only_where_asked_for" {
  command = apply

  variables {
    nat_gateway = true
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 1 && output.node_subnet_ids == output.private_subnet_ids
    error_message = "NAT asked for, nodes not behind it."
  }
  assert {
    condition     = !aws_subnet.public[0].map_public_ip_on_launch
    error_message = "With NAT nothing needs an address it did not ask for."
  }
}

run "a_block_too_small_is_refused" {
  command = plan

  variables {
    cidr = "10.0.0.0/24"
  }
  expect_failures = [var.cidr]
}
