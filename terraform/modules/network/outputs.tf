output "vpc_id" {
  description = "The VPC, for security groups."
  value       = aws_vpc.this.id
}

output "vpc_cidr" {
  description = "IPv4 block of the VPC, for rules that allow only its own machines."
  value       = aws_vpc.this.cidr_block
}

output "public_subnet_ids" {
  description = "Public subnets, for the runner."
  value       = aws_subnet.public[*].id
}

output "private_subnet_ids" {
  description = "Private subnets, for the warehouse, which needs no internet."
  value       = aws_subnet.private[*].id
}

output "node_subnet_ids" {
  description = "Subnets of the cluster nodes. They must reach the source, so they are private only with NAT."
  value       = var.nat_gateway ? aws_subnet.private[*].id : aws_subnet.public[*].id
}
