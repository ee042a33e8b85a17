mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/some" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
  mock_resource "aws_eks_cluster" {
    defaults = {
      identity = [{ oidc = [{ issuer = "https://oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF" }] }]
    }
  }
}

variables {
  name = "data-pipeline-dev"
}

run "by_default_nothing_is_made" {
  command = apply

  assert {
    condition     = length(aws_eks_cluster.this) + length(aws_iam_role.node) + length(aws_eks_node_group.spot) == 0 && output.oidc_provider_arn == ""
    error_message = "A cluster nobody asked for."
  }
}

run "a_cluster_of_your_own_is_passed_on" {
  command = apply

  variables {
    mode                       = "bring"
    existing_name              = "ours"
    existing_oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF"
  }
  assert {
    condition     = length(aws_eks_cluster.this) == 0 && output.name == "ours" && endswith(output.oidc_provider_arn, "0123456789ABCDEF")
    error_message = "Names are passed on, nothing is made."
  }
}

run "a_cluster_with_steady_and_spot_nodes" {
  command = apply

  variables {
    mode       = "create"
    subnet_ids = ["subnet-1", "subnet-2"]
    api_cidrs  = ["203.0.113.0/24"]

    kubernetes_version = null # as an environment gives it that names none
  }
  assert {
    condition     = startswith(aws_eks_cluster.this[0].version, "1.")
    error_message = "EKS would choose a version of its own."
  }
  assert {
    condition     = aws_eks_node_group.spot[0].capacity_type == "SPOT" && aws_eks_node_group.steady[0].capacity_type == "ON_DEMAND"
    error_message = "One group of each kind."
  }
  assert {
    condition     = aws_launch_template.node[0].metadata_options[0].http_tokens == "required" && aws_launch_template.node[0].metadata_options[0].http_put_response_hop_limit == 1
    error_message = "A pod may fall back to the node's role."
  }
  assert {
    condition     = aws_eks_cluster.this[0].upgrade_policy[0].support_type == "STANDARD"
    error_message = "The control plane costs six times as much once its version grows old."
  }
  assert {
    condition     = aws_cloudwatch_log_group.cluster[0].name == "/aws/eks/${aws_eks_cluster.this[0].name}/cluster" && aws_cloudwatch_log_group.cluster[0].retention_in_days > 0
    error_message = "The control plane's logs are kept, and paid for, for ever."
  }
  assert {
    condition     = jsondecode(aws_eks_addon.network[0].configuration_values).enableNetworkPolicy == "true"
    error_message = "Network policies are written and not enforced."
  }
  assert {
    condition     = aws_iam_openid_connect_provider.this[0].url == "https://oidc.eks.us-west-1.amazonaws.com/id/0123456789ABCDEF"
    error_message = "Service accounts get no roles."
  }
}

run "without_named_blocks_the_api_is_private" {
  command = plan

  variables {
    mode       = "create"
    subnet_ids = ["subnet-1", "subnet-2"]
  }
  assert {
    condition     = !aws_eks_cluster.this[0].vpc_config[0].endpoint_public_access
    error_message = "The API is open to the internet."
  }
}

run "bringing_a_cluster_takes_its_provider" {
  command = plan

  variables {
    mode          = "bring"
    existing_name = "ours"
  }
  expect_failures = [var.existing_oidc_provider_arn]
}

run "an_old_kubernetes_is_refused" {
  command = plan

  variables {
    kubernetes_version = "1.29"
  }
  expect_failures = [var.kubernetes_version]
}
