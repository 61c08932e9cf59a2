# One dashboard: throughput, outcomes, latency and model versions.
locals {
  tiles = [
    { title = "Ride events per second, by outcome", filter = "metric.type=\"logging.googleapis.com/user/ridecast/ride-events\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.label.outcome"] },
    { title = "Dead letters waiting", filter = local.alerts["dead letters"].filter, aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", by = [] },
    { title = "Oldest unacknowledged event, seconds", filter = local.alerts["oldest event not predicted"].filter, aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", by = ["resource.label.subscription_id"] },
    { title = "Requests per second, by response class", filter = local.alerts["5xx"].denominator, aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.label.response_code_class"] },
    { title = "Latency, p99, milliseconds", filter = local.alerts["slow answers"].filter, aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = ["resource.label.service_name"] },
    { title = "Instances", filter = "metric.type=\"run.googleapis.com/container/instance_count\" AND ${local.functions_filter}", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", by = ["resource.label.service_name"] },
    { title = "Events per second, by model version", filter = "metric.type=\"logging.googleapis.com/user/ridecast/ride-events\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.label.model_version"] },
    { title = "Dead letters per second, by reason", filter = "metric.type=\"logging.googleapis.com/user/ridecast/dead-letters\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.label.reason"] },
    { title = "Releases refused", filter = "metric.type=\"logging.googleapis.com/user/ridecast/refused-releases\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = ["metric.label.kept_version"] },
  ]
}

resource "google_monitoring_dashboard" "main" {
  dashboard_json = jsonencode({
    displayName = "Ridecast"
    mosaicLayout = {
      columns = 12
      tiles = [for number, tile in local.tiles : {
        xPos   = number % 2 * 6
        yPos   = floor(number / 2) * 4
        width  = 6
        height = 4
        widget = {
          title = tile.title
          xyChart = {
            dataSets = [{
              plotType = "LINE"
              timeSeriesQuery = { timeSeriesFilter = {
                filter = tile.filter
                aggregation = {
                  alignmentPeriod    = "60s"
                  perSeriesAligner   = tile.aligner
                  crossSeriesReducer = tile.reducer
                  groupByFields      = tile.by
                }
              } }
            }]
          }
        }
      }]
    }
  })

  depends_on = [google_logging_metric.main]
}
