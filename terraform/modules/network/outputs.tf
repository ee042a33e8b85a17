output "vpc_id" {
  description = "The VPC, for security groups."
  value       = aws_vpc.this.id
}

output "vpc_cidr" {
  description = "Its addresses, for rules that let only neighbours in."
  value       = aws_vpc.this.cidr_block
}

output "public_subnet_ids" {
  description = "Where the runner lives."
  value       = aws_subnet.public[*].id
}

output "private_subnet_ids" {
  description = "Where the warehouse lives, which needs no internet."
  value       = aws_subnet.private[*].id
}

output "node_subnet_ids" {
  description = "Where cluster nodes live: they must reach the source, so private only if there is NAT."
  value       = var.nat_gateway ? aws_subnet.private[*].id : aws_subnet.public[*].id
}
