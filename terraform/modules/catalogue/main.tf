# Tables over the lake as it is. Partitions are projected: computed from a query's own conditions, so no crawler runs,
# nothing is repaired after a run, and Glue keeps no million partitions.
#
# Raw parts are CSV with quoted fields, some of which hold line breaks. OpenCSVSerDe, the one reader of Athena's that
# knows quotes, still ends a row at every line break: such a record becomes two rows, both broken. So counts here are
# of lines, an upper bound of records, and sums over broken rows are wrong; the named query says for which parts that
# is so. It also matches columns by position, all as text: a release whose header drifted (its manifest's schema says
# so) must not be read through these tables. Staging writes Parquet from records, which mends all of it.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  database = replace(var.name, "-", "_")
  # A file per dataset, named as it is: its columns in the order of its files.
  datasets = { for file in fileset("${path.module}/columns", "*.json") : trimsuffix(file, ".json") => jsondecode(file("${path.module}/columns/${file}")) }
  lake     = "s3://${var.lake_bucket}"
  raw      = "${local.lake}/raw/dataset=$${dataset}/year=$${year}/release=$${release}"

  projection = {
    "projection.enabled"      = "true"
    "projection.dataset.type" = "enum"
    "projection.year.type"    = "integer"
    "projection.year.range"   = "${var.first_year},${var.last_year}"
    # Nobody can list releases or companies without looking: a query names them, and reads nothing else.
    "projection.release.type" = "injected"
  }

  raw_tables = merge([
    for dataset, columns in local.datasets : {
      # One company: its folder is the whole scan.
      "raw_${replace(dataset, "-", "_")}" = {
        dataset    = dataset
        columns    = columns
        keys       = ["dataset", "year", "release", "company_id"]
        properties = { "projection.company_id.type" = "injected", "storage.location.template" = "${local.raw}/company_id=$${company_id}/" }
      }
      # All companies of a release: Athena reads folders below a location, and 2,000 ids need not be spelt out.
      "raw_${replace(dataset, "-", "_")}_release" = {
        dataset    = dataset
        columns    = columns
        keys       = ["dataset", "year", "release"]
        properties = { "storage.location.template" = "${local.raw}/" }
      }
    }
  ]...)

  glue = "arn:${data.aws_partition.current.partition}:glue:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}"
}

resource "aws_glue_catalog_database" "this" {
  name        = local.database
  description = "CMS Open Payments as the lake holds it"
}

resource "aws_glue_catalog_table" "raw" {
  for_each = local.raw_tables

  database_name = aws_glue_catalog_database.this.name
  name          = each.key
  description   = "Parts as the source sent them; counts are of lines, see rows_against_manifest"
  table_type    = "EXTERNAL_TABLE"

  parameters = merge(local.projection, each.value.properties, {
    EXTERNAL                    = "TRUE"
    "projection.dataset.values" = each.value.dataset
    "skip.header.line.count"    = "1"
  })

  dynamic "partition_keys" {
    for_each = each.value.keys
    content {
      name = partition_keys.value
      type = partition_keys.value == "year" ? "int" : "string"
    }
  }

  storage_descriptor {
    location      = "${local.lake}/raw/"
    input_format  = "org.apache.hadoop.mapred.TextInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"

    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
      parameters            = { separatorChar = ",", quoteChar = "\"", escapeChar = "\\" }
    }

    dynamic "columns" {
      for_each = each.value.columns
      content {
        name = columns.value
        type = "string"
      }
    }
  }
}

# What makes parts those of a committed run: the list that the run's manifest vouches for, a line of JSON each.
# The folder of a run holds other files, too: they are no lines of JSON of this shape, or are left out by their path.
resource "aws_glue_catalog_table" "file_audits" {
  database_name = aws_glue_catalog_database.this.name
  name          = "file_audits"
  description   = "The proof of each part of a run; ask with \"$path\" LIKE '%/file_audits.jsonl'"
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    EXTERNAL                    = "TRUE"
    "projection.enabled"        = "true"
    "projection.run_id.type"    = "injected"
    "storage.location.template" = "${local.lake}/metadata/runs/run_id=$${run_id}/"
  }

  partition_keys {
    name = "run_id"
    type = "string"
  }

  storage_descriptor {
    location      = "${local.lake}/metadata/runs/"
    input_format  = "org.apache.hadoop.mapred.TextInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"

    ser_de_info {
      serialization_library = "org.openx.data.jsonserde.JsonSerDe"
      parameters            = { "ignore.malformed.json" = "true" }
    }

    dynamic "columns" {
      for_each = { company_id = "string", key = "string", records = "bigint", bytes = "bigint", sha256 = "string", verdict = "string" }
      content {
        name = columns.key
        type = columns.value
      }
    }
  }
}

resource "aws_s3_bucket" "results" {
  # checkov:skip=CKV_AWS_18:Results of queries over public data, gone after days.
  # checkov:skip=CKV_AWS_144:Results can be asked for again.
  # checkov:skip=CKV_AWS_145:SSE-S3, not KMS: the data is public.
  # checkov:skip=CKV_AWS_21:Versions of what expires after days would only be paid for.
  # checkov:skip=CKV2_AWS_62:Nobody listens to events of results.
  bucket        = var.results_bucket
  force_destroy = true # nothing in it is worth keeping
}

resource "aws_s3_bucket_server_side_encryption_configuration" "results" {
  bucket = aws_s3_bucket.results.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "results" {
  bucket = aws_s3_bucket.results.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "results" {
  bucket = aws_s3_bucket.results.id
  policy = templatefile("${path.module}/policies/results.json.tftpl", { bucket_arn = aws_s3_bucket.results.arn })

  depends_on = [aws_s3_bucket_public_access_block.results]
}

resource "aws_s3_bucket_lifecycle_configuration" "results" {
  bucket = aws_s3_bucket.results.id

  rule {
    id     = "results-expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.results_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_athena_workgroup" "this" {
  name          = var.name
  description   = "Queries over the lake: limited in bytes, results encrypted"
  force_destroy = true # its history of queries goes with it

  configuration {
    enforce_workgroup_configuration    = true # what a client asks for instead is not obeyed
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.most_gb_a_query * 1024 * 1024 * 1024

    result_configuration {
      output_location       = "s3://${aws_s3_bucket.results.bucket}/results/"
      expected_bucket_owner = data.aws_caller_identity.current.account_id

      encryption_configuration {
        encryption_option = "SSE_S3"
      }
    }
  }
}

resource "aws_athena_named_query" "this" {
  for_each = {
    rows_against_manifest = "Lines that Athena counts in each part of a committed run, beside its proved records"
    rows_of_a_company     = "Payments of one company by nature"
  }

  name        = each.key
  description = each.value
  workgroup   = aws_athena_workgroup.this.id
  database    = aws_glue_catalog_database.this.name
  query       = replace(file("${path.module}/queries/${each.key}.sql"), "LAKE-BUCKET", var.lake_bucket)
}

resource "aws_iam_role_policy" "query" {
  for_each = var.readers

  name = "query"
  role = each.value
  policy = templatefile("${path.module}/policies/query.json.tftpl", {
    workgroup_arn = aws_athena_workgroup.this.arn
    results_arn   = aws_s3_bucket.results.arn
    lake_arn      = "arn:${data.aws_partition.current.partition}:s3:::${var.lake_bucket}"
    glue_arns = jsonencode([
      "${local.glue}:catalog", "${local.glue}:database/${local.database}", "${local.glue}:table/${local.database}/*",
    ])
  })
}
