# One bucket, zones as prefixes (raw/, staging/, curated/, metadata/). A run's parts, proofs and manifest stay together,
# LAKE_URL is one address, and each stage's policy grants its rights by prefix.

resource "aws_s3_bucket" "lake" {
  # checkov:skip=CKV_AWS_18:Access logs would grow faster than the lake; an account can enable CloudTrail data events instead.
  # checkov:skip=CKV_AWS_144:Raw files can be fetched again from the source or restored from versions; a second region doubles the cost.
  # checkov:skip=CKV_AWS_145:SSE-S3, not KMS: the data is public, and KMS is called and charged per object, of which a year has about 2,000.
  # checkov:skip=CKV2_AWS_62:No process uses events: objects are found by listing, and a run by its manifest.
  bucket        = var.bucket
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_versioning" "lake" {
  bucket = aws_s3_bucket.lake.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "lake" {
  bucket = aws_s3_bucket.lake.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    object_ownership = "BucketOwnerEnforced" # no ACLs: only policies decide
  }
}

resource "aws_s3_bucket_policy" "lake" {
  bucket = aws_s3_bucket.lake.id

  policy = templatefile("${path.module}/policies/bucket.json.tftpl", {
    bucket_arn = aws_s3_bucket.lake.arn
    # ArnNotEquals with an empty list would deny nothing. An ARN that no principal has denies everybody.
    overwriters = jsonencode(length(var.overwriters) > 0 ? sort(var.overwriters) : ["arn:aws:iam::000000000000:role/nobody"])
    collectors  = jsonencode(length(var.collectors) > 0 ? sort(var.collectors) : ["arn:aws:iam::000000000000:role/nobody"])
  })

  # S3 refuses a bucket policy while the public access block is being created.
  depends_on = [aws_s3_bucket_public_access_block.lake]
}

resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    id     = "broken-uploads-and-old-versions"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }
  }

  rule {
    id     = "raw-is-read-once"
    status = "Enabled"

    filter {
      prefix = "raw/" # S3 does not move objects below 128 KB
    }

    transition {
      days          = var.raw_infrequent_days
      storage_class = "INTELLIGENT_TIERING"
    }
  }

  rule {
    id     = "logs-grow-old"
    status = "Enabled"

    filter {
      prefix = "metadata/logs/"
    }

    expiration {
      days = var.log_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.lake]
}
