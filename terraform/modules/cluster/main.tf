# EKS with two node groups: one small on-demand node for the submitter, and spot nodes for workers; a lost spot node
# costs a window of one slice. Or an existing cluster: then nothing is created and its names are passed on.

data "aws_partition" "current" {}

locals {
  make = var.mode == "create" ? 1 : 0

  node_policies = ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly"]
}

resource "aws_iam_role" "cluster" {
  count = local.make

  name = "${var.name}-cluster"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "eks.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy_attachment" "cluster" {
  count = local.make

  role       = aws_iam_role.cluster[0].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AmazonEKSClusterPolicy"
}

# Created here because EKS would otherwise create it, without expiry and unknown to `destroy`.
resource "aws_cloudwatch_log_group" "cluster" {
  # checkov:skip=CKV_AWS_158:Encrypted by CloudWatch; a customer key would cost money, and the logs are about public data.
  # checkov:skip=CKV_AWS_338:Three months are enough for an incident; the lake keeps the logs of runs for a year.
  count = local.make

  name              = "/aws/eks/${var.name}/cluster"
  retention_in_days = 90
}

resource "aws_eks_cluster" "this" {
  # checkov:skip=CKV_AWS_58:EKS encrypts all of etcd with its own key since 1.28; this project stores no Secrets in it.
  # checkov:skip=CKV_AWS_39:The public endpoint is on only if api_cidrs lists blocks.
  # checkov:skip=CKV_AWS_38:api_cidrs refuses 0.0.0.0/0.
  count = local.make

  name                      = var.name
  version                   = var.kubernetes_version
  role_arn                  = aws_iam_role.cluster[0].arn
  enabled_cluster_log_types = ["api", "audit", "authenticator", "controllerManager", "scheduler"]

  access_config {
    authentication_mode                         = "API" # no aws-auth ConfigMap, in which one typo locks everybody out
    bootstrap_cluster_creator_admin_permissions = true
  }

  vpc_config {
    subnet_ids              = var.subnet_ids
    endpoint_private_access = true
    endpoint_public_access  = length(var.api_cidrs) > 0
    public_access_cidrs     = length(var.api_cidrs) > 0 ? var.api_cidrs : null
  }

  # EXTENDED, the default, would cost 0.60 USD per hour instead of 0.10 after the end of standard support.
  upgrade_policy {
    support_type = "STANDARD"
  }

  depends_on = [aws_iam_role_policy_attachment.cluster, aws_cloudwatch_log_group.cluster]
}

resource "aws_eks_access_entry" "administrator" {
  for_each = toset(var.mode == "create" ? var.administrators : [])

  cluster_name  = aws_eks_cluster.this[0].name
  principal_arn = each.value
}

resource "aws_eks_access_policy_association" "administrator" {
  for_each = aws_eks_access_entry.administrator

  cluster_name  = each.value.cluster_name
  principal_arn = each.value.principal_arn
  policy_arn    = "arn:${data.aws_partition.current.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"

  access_scope {
    type = "cluster"
  }
}

# NetworkPolicies have no effect until the plugin's agent enforces them, which is off by default.
resource "aws_eks_addon" "network" {
  count = local.make

  cluster_name                = aws_eks_cluster.this[0].name
  addon_name                  = "vpc-cni"
  configuration_values        = jsonencode({ enableNetworkPolicy = "true" })
  resolve_conflicts_on_create = "OVERWRITE"
}

# Service accounts get their roles through this provider; see the module identity.
resource "aws_iam_openid_connect_provider" "this" {
  count = local.make

  url            = aws_eks_cluster.this[0].identity[0].oidc[0].issuer
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "node" {
  count = local.make

  name = "${var.name}-node"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy_attachment" "node" {
  for_each = toset(var.mode == "create" ? local.node_policies : [])

  role       = aws_iam_role.node[0].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/${each.value}"
}

resource "aws_launch_template" "node" {
  count = local.make

  name_prefix = "${var.name}-node-"

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # 1: a pod whose own role fails cannot use the node's role; it fails with an error.
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size = 40
      volume_type = "gp3"
      encrypted   = true
    }
  }
}

resource "aws_eks_node_group" "steady" {
  count = local.make

  cluster_name    = aws_eks_cluster.this[0].name
  node_group_name = "steady"
  node_role_arn   = aws_iam_role.node[0].arn
  subnet_ids      = var.subnet_ids
  capacity_type   = "ON_DEMAND"
  instance_types  = ["t3.medium"]
  labels          = { capacity = "steady" }

  launch_template {
    id      = aws_launch_template.node[0].id
    version = aws_launch_template.node[0].latest_version
  }

  scaling_config {
    min_size     = 1
    desired_size = 1
    max_size     = 2
  }

  depends_on = [aws_iam_role_policy_attachment.node]
}

resource "aws_eks_node_group" "spot" {
  count = local.make

  cluster_name    = aws_eks_cluster.this[0].name
  node_group_name = "spot"
  node_role_arn   = aws_iam_role.node[0].arn
  subnet_ids      = var.subnet_ids
  capacity_type   = "SPOT"
  instance_types  = var.spot_instance_types
  labels          = { capacity = "spot" }

  launch_template {
    id      = aws_launch_template.node[0].id
    version = aws_launch_template.node[0].latest_version
  }

  scaling_config {
    min_size     = 0
    desired_size = 0 # set before a run with higher limits: docs/operations-aws.md; there is no autoscaling
    max_size     = var.spot_nodes
  }

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size]
  }

  depends_on = [aws_iam_role_policy_attachment.node]
}
