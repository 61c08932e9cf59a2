# No topic has a schema: on ride-events it would refuse events that the function turns into dead letters with a
# reason, and Avro's JSON cannot express that a ride_id is a number or a string (docs/decisions/0021).
resource "google_pubsub_topic" "main" {
  for_each = toset(["ride-events", "predictions", "ride-ended", "ride-events-dead-letter", "bigquery-dead-letter"])

  name = each.key

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.main]
}

locals {
  never        = "" # an expiration policy without a TTL: idle subscriptions are kept
  seven_days   = "604800s"
  month        = "2678400s" # 31 days, the longest that Pub/Sub keeps a message: dead letters wait for a person
  pubsub_agent = "serviceAccount:service-${data.google_project.main.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_subscription" "push" {
  for_each = var.models

  name                       = "ride-events-${each.key}"
  topic                      = google_pubsub_topic.main["ride-events"].id
  ack_deadline_seconds       = 30 # also the push request's timeout; the function answers within 8
  message_retention_duration = local.seven_days

  push_config {
    push_endpoint = google_cloudfunctions2_function.main["${each.key}-predict-event"].service_config[0].uri
    oidc_token {
      service_account_email = google_service_account.main["${each.key}-push"].email
      audience              = google_cloudfunctions2_function.main["${each.key}-predict-event"].service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  # The function publishes dead letters itself, with a reason. This policy covers events that it never acknowledges;
  # with fewer attempts a short outage would flood the topic with good events.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.main["ride-events-dead-letter"].id
    max_delivery_attempts = 100
  }

  expiration_policy {
    ttl = local.never
  }

  depends_on = [
    google_cloud_run_v2_service_iam_member.main,
    google_pubsub_topic_iam_member.main,
    google_service_account_iam_member.deployer,
  ]
}

# For people and jobs: dead letters for `redrive`, messages that BigQuery refuses, and the prediction that the smoke
# test of a deployment waits for.
resource "google_pubsub_subscription" "pull" {
  for_each = {
    "ride-events-dead-letter" = { topic = "ride-events-dead-letter", filter = null, keeps = local.month }
    "bigquery-dead-letter"    = { topic = "bigquery-dead-letter", filter = null, keeps = local.month }
    "predictions-smoke"       = { topic = "predictions", filter = "hasPrefix(attributes.ride_id, \"smoke-\")", keeps = local.seven_days }
  }

  name                       = each.key
  topic                      = google_pubsub_topic.main[each.value.topic].id
  filter                     = each.value.filter
  ack_deadline_seconds       = 60
  message_retention_duration = each.value.keeps

  expiration_policy {
    ttl = local.never
  }
}

resource "google_pubsub_subscription" "bigquery" {
  for_each = google_bigquery_table.stream

  name                       = "${replace(each.key, "_", "-")}-bigquery"
  topic                      = google_pubsub_topic.main[replace(each.key, "_", "-")].id
  message_retention_duration = local.seven_days

  bigquery_config {
    table          = "${each.value.project}.${each.value.dataset_id}.${each.value.table_id}"
    write_metadata = true
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  # BigQuery never accepts a body that is not valid UTF-8. It gets a topic of its own, because `redrive` publishes the
  # other dead letters back to ride-events.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.main["bigquery-dead-letter"].id
    max_delivery_attempts = 100
  }

  expiration_policy {
    ttl = local.never
  }

  depends_on = [google_bigquery_table_iam_member.pubsub, google_pubsub_topic_iam_member.main]
}

# The replay archive: every ride event as received, with its attributes, in Avro.
resource "google_pubsub_subscription" "archive" {
  name                       = "ride-events-archive"
  topic                      = google_pubsub_topic.main["ride-events"].id
  ack_deadline_seconds       = 300 # must be at least max_duration
  message_retention_duration = local.seven_days

  cloud_storage_config {
    bucket                   = google_storage_bucket.main["archive"].name
    filename_prefix          = "ride-events/"
    filename_suffix          = ".avro"
    filename_datetime_format = "YYYY/MM/DD/hh_mm_ssZ"
    max_duration             = "300s"
    max_bytes                = 100000000
    avro_config {
      write_metadata = true
    }
  }

  expiration_policy {
    ttl = local.never
  }

  depends_on = [google_storage_bucket_iam_member.main]
}
