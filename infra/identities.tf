locals {
  # One service account per workload, each with least privilege.
  accounts = merge(
    merge([
      for model in keys(var.models) : {
        "${model}-predict"       = "serves predictions over HTTP"
        "${model}-predict-event" = "turns ride events into predictions"
        "${model}-push"          = "delivers ride events to the function"
      }
    ]...),
    {
      "ridecast-build"     = "builds the functions' and the jobs' images"
      "ridecast-score"     = "scores months"
      "ridecast-sync"      = "keeps the release pointers in sync with MLflow's alias"
      "ridecast-scheduler" = "starts the scheduled jobs"
    },
    local.mlflow_here ? { "ridecast-mlflow" = "runs the MLflow server" } : {},
    local.delivered ? {
      "ridecast-plan"   = "plans pull requests, read-only"
      "ridecast-deploy" = "applies merges"
    } : {},
  )
}

resource "google_service_account" "main" {
  for_each = local.accounts

  account_id   = each.key
  display_name = "Ridecast: ${each.value}"

  depends_on = [google_project_service.main]
}
