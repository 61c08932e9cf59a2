locals {
  buckets = {
    models      = { deletes = [], keeps_versions = 10, forgets_after_days = null } # a deleted version can always be restored
    source      = { deletes = [{ prefixes = ["builds/"], days = 30 }], keeps_versions = 3, forgets_after_days = 90 }
    predictions = { deletes = [], keeps_versions = 3, forgets_after_days = 90 }
    archive     = { deletes = [{ prefixes = null, days = var.archive_days }], keeps_versions = 0, forgets_after_days = null }
  }
}

resource "google_storage_bucket" "main" {
  for_each = local.buckets

  name                        = "${var.project_id}-${each.key}"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  versioning {
    enabled = each.value.keeps_versions > 0
  }

  # Objects replaced or deleted by mistake can be restored for at least a month.
  dynamic "lifecycle_rule" {
    for_each = each.value.keeps_versions > 0 ? [each.value.keeps_versions] : []
    content {
      action {
        type = "Delete"
      }
      condition {
        num_newer_versions         = lifecycle_rule.value
        days_since_noncurrent_time = 30
      }
    }
  }

  # Deleted objects have no newer versions, so the rule above would never remove them.
  dynamic "lifecycle_rule" {
    for_each = each.value.forgets_after_days == null ? [] : [each.value.forgets_after_days]
    content {
      action {
        type = "Delete"
      }
      condition {
        days_since_noncurrent_time = lifecycle_rule.value
      }
    }
  }

  dynamic "lifecycle_rule" {
    for_each = each.value.deletes
    content {
      action {
        type = "Delete"
      }
      condition {
        age            = lifecycle_rule.value.days
        matches_prefix = lifecycle_rule.value.prefixes
      }
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }

  depends_on = [google_project_service.main]
}

# Named after its content hash, so only changed source causes a new deployment.
resource "google_storage_bucket_object" "source" {
  name   = "ridecast-${substr(filesha256(var.source_archive), 0, 16)}.zip"
  bucket = google_storage_bucket.main["source"].name
  source = var.source_archive
}

resource "google_artifact_registry_repository" "main" {
  location      = var.region
  repository_id = "ridecast"
  format        = "DOCKER"
  description   = "Images of the jobs, and images that Google builds for the functions."

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "2592000s" # 30 days
    }
  }

  depends_on = [google_project_service.main]
}
