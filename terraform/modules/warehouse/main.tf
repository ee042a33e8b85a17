# Redshift Serverless: charged per second while a query runs, free otherwise. Off in every environment: the marts of a
# lake need none. `data-pipeline run load_warehouse` fills it, over the data API and with the role `copy` as its default.

resource "aws_iam_role" "copy" {
  name = "${var.name}-warehouse"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "redshift.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy" "copy" {
  name   = "copy"
  role   = aws_iam_role.copy.name
  policy = templatefile("${path.module}/policies/copy.json.tftpl", { bucket_arn = var.bucket_arn })
}

resource "aws_iam_role_policy" "load" {
  for_each = var.loaders

  name = "load"
  role = each.value
  policy = templatefile("${path.module}/policies/load.json.tftpl", {
    workgroup_arn = aws_redshiftserverless_workgroup.this.arn
    caller        = "$${aws:userid}"
  })
}

resource "aws_security_group" "this" {
  name        = "${var.name}-warehouse"
  description = "The warehouse, reachable from inside the VPC only"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-warehouse" }
}

resource "aws_vpc_security_group_ingress_rule" "redshift" {
  security_group_id = aws_security_group.this.id
  description       = "Redshift from the VPC"
  cidr_ipv4         = var.vpc_cidr
  ip_protocol       = "tcp"
  from_port         = 5439
  to_port           = 5439
}

resource "aws_redshiftserverless_namespace" "this" {
  # checkov:skip=CKV_AWS_282:Encrypted with an AWS key; a customer key costs a dollar a month and would protect public data.
  namespace_name        = var.name
  db_name               = "open_payments"
  manage_admin_password = true # stored and rotated in Secrets Manager, never in Terraform's state
  iam_roles             = [aws_iam_role.copy.arn]
  default_iam_role_arn  = aws_iam_role.copy.arn
  log_exports           = ["userlog", "connectionlog", "useractivitylog"]
}

resource "aws_redshiftserverless_workgroup" "this" {
  namespace_name       = aws_redshiftserverless_namespace.this.namespace_name
  workgroup_name       = var.name
  base_capacity        = var.base_capacity
  subnet_ids           = var.subnet_ids
  security_group_ids   = [aws_security_group.this.id]
  publicly_accessible  = false
  enhanced_vpc_routing = true # through the VPC's S3 endpoint
}

resource "aws_redshiftserverless_usage_limit" "compute" {
  resource_arn  = aws_redshiftserverless_workgroup.this.arn
  usage_type    = "serverless-compute"
  amount        = var.rpu_hours_a_month
  period        = "monthly"
  breach_action = "deactivate"
}
