locals {
  logged = {
    "ridecast/ride-events" = {
      description = "Ride events by outcome."
      filter      = "jsonPayload.message=\"ride event\""
      labels      = { outcome = "EXTRACT(jsonPayload.outcome)", model_version = "EXTRACT(jsonPayload.model_version)" }
    }
    "ridecast/dead-letters" = {
      description = "Dead letters from the function, by reason."
      filter      = "jsonPayload.message=\"ride event\" AND jsonPayload.outcome=\"dead_letter\""
      labels      = { reason = "EXTRACT(jsonPayload.reason)" }
    }
    "ridecast/refused-releases" = {
      description = "Releases that a function refused; it keeps the last good model."
      filter      = "jsonPayload.message:\"release refused\""
      labels      = { kept_version = "EXTRACT(jsonPayload.kept_version)" }
    }
  }

  functions_filter = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=one_of(${join(",", [for name in keys(local.functions) : "\"${name}\""])})"

  deliveries_filter = "resource.labels.subscription_id=one_of(${join(",", [for name in concat(
    [for subscription in google_pubsub_subscription.push : subscription.name],
    [for subscription in google_pubsub_subscription.bigquery : subscription.name],
    [google_pubsub_subscription.archive.name],
  ) : "\"${name}\""])})"

  # Each alert is a condition on one time series or on the ratio of two; the text says what to do.
  alerts = {
    "dead letters" = {
      text    = "Events that cannot be predicted. `python -m jobs redrive` counts them by reason; with --send it publishes them back. Pub/Sub deletes a dead letter after 31 days."
      filter  = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"ride-events-dead-letter\""
      aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", above = 0, duration = "0s", denominator = null
    }
    "not in BigQuery" = {
      text    = "Messages on predictions or ride-ended that BigQuery refuses, most likely because they are not valid UTF-8. Look at them with `gcloud pubsub subscriptions pull bigquery-dead-letter`; add --auto-ack to remove them. Pub/Sub deletes them after 31 days."
      filter  = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"bigquery-dead-letter\""
      aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", above = 0, duration = "0s", denominator = null
    }
    "failed job" = {
      text    = "A job failed after two retries: a month is not scored, or a moved alias is not served. Read the job's log, then run it again with `gcloud run jobs execute`."
      filter  = "metric.type=\"run.googleapis.com/job/completed_execution_count\" AND resource.type=\"cloud_run_job\" AND metric.labels.result=\"failed\" AND resource.labels.job_name=one_of(${join(",", [for name in keys(local.jobs) : "\"${name}\""])})"
      aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", above = 0, duration = "0s", denominator = null
    }
    "oldest event not predicted" = {
      text    = "Ride events or predictions have been waiting for ten minutes: look for \"again\" in the functions' logs, then at the model bucket and the topics."
      filter  = "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" AND resource.type=\"pubsub_subscription\" AND ${local.deliveries_filter}"
      aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", above = 600, duration = "0s", denominator = null
    }
    "5xx" = {
      text        = "More than 1% of responses are 5xx. A 503 means that there is no model, no topic or no free slot."
      filter      = "metric.type=\"run.googleapis.com/request_count\" AND ${local.functions_filter} AND metric.labels.response_code_class=\"5xx\""
      denominator = "metric.type=\"run.googleapis.com/request_count\" AND ${local.functions_filter}"
      aligner     = "ALIGN_RATE", reducer = "REDUCE_SUM", above = 0.01, duration = "300s"
    }
    "slow answers" = {
      text    = "The p99 latency is above one second (the metric is in milliseconds). Look at the instances: too little concurrency, or a cold start for each request."
      filter  = "metric.type=\"run.googleapis.com/request_latencies\" AND ${local.functions_filter}"
      aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", above = 1000, duration = "300s", denominator = null
    }
  }
}

resource "google_logging_metric" "main" {
  for_each = local.logged

  name             = each.key
  description      = each.value.description
  filter           = "resource.type=\"cloud_run_revision\" AND ${each.value.filter}"
  label_extractors = each.value.labels

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    dynamic "labels" {
      for_each = each.value.labels
      content {
        key = labels.key
      }
    }
  }

  depends_on = [google_project_service.main]
}

# Cloud Run logs about a kilobyte per request, which would cost more than the prediction. Cloud Run's own metrics
# count successful requests; only the log lines of failed ones are kept.
resource "google_logging_project_exclusion" "answered" {
  name        = "ridecast-answered-requests"
  description = "Successful requests to the functions."
  filter      = "log_id(\"run.googleapis.com/requests\") AND httpRequest.status<400 AND resource.labels.service_name=(${join(" OR ", [for name in keys(local.functions) : "\"${name}\""])})"

  depends_on = [google_project_service.main]
}

resource "google_monitoring_notification_channel" "email" {
  for_each = var.alert_emails

  display_name = "Ridecast: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }

  depends_on = [google_project_service.main]
}

resource "google_monitoring_alert_policy" "main" {
  # Without an image there are no jobs that could fail.
  for_each = { for name, alert in local.alerts : name => alert if name != "failed job" || length(local.jobs) > 0 }

  display_name          = "Ridecast: ${each.key}"
  combiner              = "OR"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = each.key
    condition_threshold {
      filter             = each.value.filter
      denominator_filter = each.value.denominator
      comparison         = "COMPARISON_GT"
      threshold_value    = each.value.above
      duration           = each.value.duration

      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
      }
      dynamic "denominator_aggregations" {
        for_each = each.value.denominator == null ? [] : [each.value]
        content {
          alignment_period     = "60s"
          per_series_aligner   = denominator_aggregations.value.aligner
          cross_series_reducer = denominator_aggregations.value.reducer
        }
      }
    }
  }

  documentation {
    content   = each.value.text
    mime_type = "text/markdown"
  }

  depends_on = [google_project_service.main]
}

# Matches the log line itself, because alerts do not see a log-based metric in its first ten minutes.
resource "google_monitoring_alert_policy" "refused_release" {
  display_name          = "Ridecast: release refused"
  combiner              = "OR"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = "a function refused a release"
    condition_matched_log {
      filter = google_logging_metric.main["ridecast/refused-releases"].filter
    }
  }

  alert_strategy {
    auto_close = "3600s"
    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    content   = "A function refused the release that the pointer names and keeps the last good model; the log line says why. `python -m jobs promote --version N` moves the pointer back."
    mime_type = "text/markdown"
  }
}
