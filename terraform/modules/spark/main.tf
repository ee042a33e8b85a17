# An example: `stage` and `build_curated` with --engine spark, on EMR Serverless and on Glue. Both cost only while a job
# runs. No environment uses it: on one machine DuckDB is faster. See docs/spark.md.

locals {
  code    = "s3://${var.bucket}/spark/code"
  scratch = "s3://${var.bucket}/spark/scratch"
}

resource "aws_s3_object" "entry_point" {
  bucket      = var.bucket
  key         = "spark/code/entry.py"
  source      = "${path.module}/entry.py"
  source_hash = filesha256("${path.module}/entry.py")
}

resource "aws_iam_role" "this" {
  name = "${var.name}-spark"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = ["emr-serverless.amazonaws.com", "glue.amazonaws.com"] }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name   = "lake"
  role   = aws_iam_role.this.name
  policy = templatefile("${path.module}/policies/spark.json.tftpl", { bucket_arn = "arn:aws:s3:::${var.bucket}" })
}

resource "aws_emrserverless_application" "this" {
  name          = "${var.name}-spark"
  type          = "spark"
  release_label = "emr-7.10.0" # Spark 3.5

  maximum_capacity {
    cpu    = "${var.vcpus} vCPU"
    memory = "${var.vcpus * 4} GB"
  }
  auto_stop_configuration {
    idle_timeout_minutes = 5
  }
}

resource "aws_glue_job" "this" {
  # checkov:skip=CKV_AWS_195:The lake's bucket encrypts by itself, and the data is public.
  name              = "${var.name}-spark"
  role_arn          = aws_iam_role.this.arn
  glue_version      = "5.1" # Spark 3.5.6
  worker_type       = "G.1X"
  number_of_workers = max(var.vcpus / 4, 2)
  timeout           = 120 # minutes

  command {
    script_location = "s3://${var.bucket}/${aws_s3_object.entry_point.key}"
    python_version  = "3"
  }
  # The caller adds --command "run stage -- --engine spark --year 2024".
  default_arguments = {
    "--additional-python-modules" = join(",", [for one in var.wheels : "${local.code}/${one}"])
    "--settings"                  = "LAKE_URL=s3://${var.bucket} SPARK_SCRATCH_URL=${local.scratch}"
  }
}
