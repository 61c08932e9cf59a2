locals {
  # One for each thing that runs, so that each can have the least it needs.
  accounts = merge(
    merge([
      for model in keys(var.models) : {
        "${model}-predict"       = "answers over HTTP"
        "${model}-predict-event" = "turns ride events into predictions"
        "${model}-push"          = "delivers ride events to the function"
      }
    ]...),
    {
      "ridecast-build"     = "builds the functions' and the jobs' images"
      "ridecast-score"     = "scores months"
      "ridecast-sync"      = "moves the release pointers after MLflow's alias"
      "ridecast-scheduler" = "starts the jobs by the clock"
    },
    local.mlflow_here ? { "ridecast-mlflow" = "runs the MLflow server" } : {},
    local.delivered ? {
      "ridecast-plan"   = "plans what a pull request changes, and changes nothing"
      "ridecast-deploy" = "applies what is merged"
    } : {},
  )
}

resource "google_service_account" "main" {
  for_each = local.accounts

  account_id   = each.key
  display_name = "Ridecast: ${each.value}"

  depends_on = [google_project_service.main]
}
