locals {
  scores = { for model in keys(var.models) : model => "gs://${google_storage_bucket.main["predictions"].name}/${model}" }

  jobs = var.jobs_image == "" ? {} : merge(
    merge([
      for model, settings in var.models : {
        for taxi in settings.scored_taxis : "score-${model}-${taxi}" => {
          account  = "ridecast-score"
          schedule = "0 3 2 * *" # the second day of each month, as in the course
          timeout  = "3600s"
          cpu      = "2"
          memory   = "2Gi" # 20 million trips took 338 MB
          args = [
            "score", "--model", local.pointers[model], "--trips", var.trips, "--taxi", taxi,
            "--months-back", tostring(var.scored_months_back), "--output", local.scores[model],
          ]
          environment = {}
        }
      }
    ]...),
    {
      for model in keys(var.models) : "sync-${model}" => {
        account  = "ridecast-sync"
        schedule = "0 * * * *" # picks up an alias that was moved in the MLflow UI; a run is billed for at least a minute
        timeout  = "300s"
        cpu      = "1"
        memory   = "1Gi" # MLflow's client takes 300 MB
        args     = ["sync", "--name", model]
        environment = {
          MODEL_BUCKET        = "gs://${google_storage_bucket.main["models"].name}"
          MLFLOW_TRACKING_URI = local.mlflow_uri
        }
      }
    },
  )
}

resource "google_cloud_run_v2_job" "main" {
  for_each = local.jobs

  name                = each.key
  location            = var.region
  deletion_protection = false # a job holds no data

  template {
    template {
      service_account = google_service_account.main[each.value.account].email
      timeout         = each.value.timeout
      max_retries     = 2 # output is atomic, so a failed run can be repeated

      containers {
        image = var.jobs_image
        args  = each.value.args
        resources {
          limits = { cpu = each.value.cpu, memory = each.value.memory }
        }
        dynamic "env" {
          for_each = each.value.environment
          content {
            name  = env.key
            value = env.value
          }
        }
      }
    }
  }

  depends_on = [google_storage_bucket_iam_member.main, google_service_account_iam_member.deployer]
}

resource "google_cloud_run_v2_job_iam_member" "scheduler" {
  for_each = google_cloud_run_v2_job.main

  name     = each.value.name
  location = var.region
  role     = "roles/run.invoker"
  member   = local.members["ridecast-scheduler"]
}

resource "google_cloud_scheduler_job" "main" {
  for_each = local.jobs

  name             = each.key
  region           = var.region
  schedule         = each.value.schedule
  time_zone        = "America/New_York"
  attempt_deadline = "60s"

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/${google_cloud_run_v2_job.main[each.key].id}:run"
    oauth_token {
      service_account_email = google_service_account.main["ridecast-scheduler"].email
    }
  }

  retry_config {
    retry_count = 3
  }

  depends_on = [google_cloud_run_v2_job_iam_member.scheduler, google_service_account_iam_member.deployer]
}
