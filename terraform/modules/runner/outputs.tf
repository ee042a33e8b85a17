output "instance_id" {
  description = "For `aws ssm start-session --target`."
  value       = aws_instance.this.id
}

output "public_ip" {
  description = "For `ssh ec2-user@…`."
  value       = aws_instance.this.public_ip
}
