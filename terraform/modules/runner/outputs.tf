output "instance_id" {
  description = "Id of the instance, for `aws ssm start-session --target`."
  value       = aws_instance.this.id
}

output "public_ip" {
  description = "Public address, for `ssh ec2-user@…`."
  value       = aws_instance.this.public_ip
}
