# Tables over the lake as it is. Partitions are projected, that is, computed from a query's conditions. So there is no
# crawler, no repair after a run, and Glue does not store a million partitions.
#
# Raw parts are CSV with quoted fields, some of which contain line breaks. OpenCSVSerDe, Athena's only reader that
# understands quotes, still ends a row at every line break: such a record becomes two broken rows. So these tables count
# lines, an upper bound of the records, and sums over broken rows are wrong; the named query shows the affected parts.
# Columns are matched by position, all as text. Therefore do not read a release whose header drifted (the schema in its
# manifest shows it) through these tables. They are for reading what the source sent; for counts and sums there are the
# curated tables, which `data-pipeline run publish_catalogue` writes into the same database: Parquet made of records.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  database = replace(var.name, "-", "_")
  # One file per dataset, under its name: the columns in the order of the published files.
  datasets = { for file in fileset("${path.module}/columns", "*.json") : trimsuffix(file, ".json") => jsondecode(file("${path.module}/columns/${file}")) }
  lake     = "s3://${var.lake_bucket}"
  raw      = "${local.lake}/raw/dataset=$${dataset}/year=$${year}/release=$${release}"

  projection = {
    "projection.enabled"      = "true"
    "projection.dataset.type" = "enum"
    "projection.year.type"    = "integer"
    "projection.year.range"   = "${var.first_year},${var.last_year}"
  }

  raw_tables = merge([
    for dataset, columns in local.datasets : {
      # One company: only its folder is scanned.
      "raw_${replace(dataset, "-", "_")}" = {
        dataset    = dataset
        columns    = columns
        keys       = ["dataset", "year", "release", "company_id"]
        properties = { "projection.company_id.type" = "injected", "storage.location.template" = "${local.raw}/company_id=$${company_id}/" }
      }
      # All companies of a release: Athena reads folders below a location, so a query need not list 2,000 ids.
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
  description = "CMS Open Payments as stored in the lake"
}

resource "aws_glue_catalog_table" "raw" {
  for_each = local.raw_tables

  database_name = aws_glue_catalog_database.this.name
  name          = each.key
  description   = "Parts as the source sent them; rows are lines, not records: see rows_against_manifest"
  table_type    = "EXTERNAL_TABLE"

  parameters = merge(local.projection, each.value.properties, {
    EXTERNAL                    = "TRUE"
    "projection.dataset.values" = each.value.dataset
    # Releases and companies cannot be enumerated without a listing, so a query must name them. It reads nothing else.
    "projection.release.type" = "injected"
    "skip.header.line.count"  = "1"
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

# The audits of a committed run's parts: the file whose digest the run's manifest records, one line of JSON per part.
# The folder of a run contains other files, too. They have another format, or a query excludes them by path.
resource "aws_glue_catalog_table" "file_audits" {
  database_name = aws_glue_catalog_database.this.name
  name          = "file_audits"
  description   = "The proof of each part of a run; query it with \"$path\" LIKE '%/file_audits.jsonl'"
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

# The manifests of curated builds, one line of JSON each: of a dataset's year the one with the highest number counts.
resource "aws_glue_catalog_table" "manifests" {
  database_name = aws_glue_catalog_database.this.name
  name          = "curated_manifests"
  description   = "What the manifest of each build says: rows, sums, release, run"
  table_type    = "EXTERNAL_TABLE"

  parameters = merge(local.projection, {
    EXTERNAL                    = "TRUE"
    "projection.dataset.values" = join(",", keys(local.datasets))
    "storage.location.template" = "${local.lake}/metadata/curated/dataset=$${dataset}/year=$${year}/"
  })

  dynamic "partition_keys" {
    for_each = { dataset = "string", year = "int" }
    content {
      name = partition_keys.key
      type = partition_keys.value
    }
  }

  storage_descriptor {
    location      = "${local.lake}/metadata/curated/"
    input_format  = "org.apache.hadoop.mapred.TextInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"

    ser_de_info {
      serialization_library = "org.openx.data.jsonserde.JsonSerDe"
    }

    dynamic "columns" {
      for_each = { amounts = "map<string,string>", build = "string", number = "int", release = "string", rows = "bigint", run_id = "string" }
      content {
        name = columns.key
        type = columns.value
      }
    }
  }
}

resource "aws_s3_bucket" "results" {
  # checkov:skip=CKV_AWS_18:Results of queries over public data, deleted after days.
  # checkov:skip=CKV_AWS_144:A query can be run again.
  # checkov:skip=CKV_AWS_145:SSE-S3, not KMS: the data is public.
  # checkov:skip=CKV_AWS_21:Results expire after days; versions of them would only cost money.
  # checkov:skip=CKV2_AWS_62:No process uses events of results.
  bucket        = var.results_bucket
  force_destroy = true # its content need not be kept
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
  force_destroy = true # its query history is deleted with it

  configuration {
    enforce_workgroup_configuration    = true # settings of a client are ignored
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
    rows_against_manifest = "Lines that Athena counts in each part of a committed run, compared with its proved records"
    rows_of_a_company     = "Payments of one company by nature"

    curated_against_manifest = "Rows and dollars that Athena finds in the curated tables, compared with the builds' manifests"
    top_companies            = "Who paid most in a year: dollars, payments, recipients"
    payments_by_month        = "Payments of a year by month"
  }

  name        = each.key
  description = each.value
  workgroup   = aws_athena_workgroup.this.id
  database    = aws_glue_catalog_database.this.name
  query       = replace(file("${path.module}/queries/${each.key}.sql"), "LAKE-BUCKET", var.lake_bucket)
}

resource "aws_iam_role_policy" "publish" {
  for_each = var.publishers

  name = "publish"
  role = each.value
  policy = templatefile("${path.module}/policies/publish.json.tftpl", {
    catalog_arn  = "${local.glue}:catalog"
    database_arn = "${local.glue}:database/${local.database}"
    tables_arn   = "${local.glue}:table/${local.database}"
  })
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
