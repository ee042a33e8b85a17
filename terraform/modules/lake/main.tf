# One bucket, zones as prefixes (raw/, staging/, curated/, metadata/): a run's parts, proofs and manifest are one
# consistent thing, LAKE_URL names one place, and what a stage may do is said by prefix in its policy.

resource "aws_s3_bucket" "lake" {
  # checkov:skip=CKV_AWS_18:Access logs would grow faster than the lake; CloudTrail data events, where wanted, are an account's choice.
  # checkov:skip=CKV_AWS_144:Everything raw can be fetched again from the source or is kept as versions; a second region doubles the bill.
  # checkov:skip=CKV_AWS_145:SSE-S3, not KMS: the data is public, and KMS is asked (and paid) per object, of which a year has some 2,000.
  # checkov:skip=CKV2_AWS_62:Nobody listens to events: what is there is found by listing, and a run by its manifest.
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
    object_ownership = "BucketOwnerEnforced" # no ACLs: policies alone decide
  }
}

resource "aws_s3_bucket_policy" "lake" {
  bucket = aws_s3_bucket.lake.id

  policy = templatefile("${path.module}/policies/bucket.json.tftpl", {
    bucket_arn = aws_s3_bucket.lake.arn
    # A list without a member would deny nobody: ArnNotEquals of nothing. A name that no principal has denies everybody.
    overwriters = jsonencode(length(var.overwriters) > 0 ? sort(var.overwriters) : ["arn:aws:iam::000000000000:role/nobody"])
  })

  # S3 refuses a policy while the block is being put up.
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
      prefix = "raw/" # S3 itself leaves objects below 128 KB where they are
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
