locals {
  pointers = { for model in keys(var.models) : model => "gs://${google_storage_bucket.main["models"].name}/releases/${model}/champion.json" }

  functions = merge([
    for model, settings in var.models : {
      "${model}-predict" = {
        model       = model
        settings    = settings
        entry_point = "predict"
        ingress     = "ALLOW_ALL" # reachable from the internet; IAM decides who may call it
        timeout     = 60
        environment = {}
      }
      "${model}-predict-event" = {
        model       = model
        settings    = settings
        entry_point = "predict_event"
        ingress     = "ALLOW_INTERNAL_ONLY" # this project's Pub/Sub counts as internal
        timeout     = 30
        environment = {
          PREDICTIONS_TOPIC = google_pubsub_topic.main["predictions"].id
          DEAD_LETTER_TOPIC = google_pubsub_topic.main["ride-events-dead-letter"].id
        }
      }
    }
  ]...)
}

# google_cloudfunctions2_function, because Google builds these from source: google_cloud_run_v2_service's
# build_config only records such a build. There is no probe of /health: a function without a model answers 503
# and recovers by itself when one is released, and an empty project has none yet.
resource "google_cloudfunctions2_function" "main" {
  for_each = local.functions

  name     = each.key
  location = var.region

  build_config {
    runtime           = "python313"
    entry_point       = each.value.entry_point
    service_account   = google_service_account.main["ridecast-build"].id
    docker_repository = google_artifact_registry_repository.main.id
    source {
      storage_source {
        bucket = google_storage_bucket_object.source.bucket
        object = google_storage_bucket_object.source.name
      }
    }
  }

  # See docs/scaling.md: 1 vCPU because one process uses one core; concurrency 80 because an event mostly waits for
  # Pub/Sub; memory is twice the measured 127 MB, and at least the minimum of Cloud Run's second generation.
  service_config {
    service_account_email            = google_service_account.main[each.key].email
    available_cpu                    = tostring(each.value.settings.cpu)
    available_memory                 = "${each.value.settings.memory_mib}Mi"
    max_instance_request_concurrency = each.value.settings.concurrency
    min_instance_count               = each.value.settings.min_instances
    max_instance_count               = each.value.settings.max_instances
    timeout_seconds                  = each.value.timeout
    ingress_settings                 = each.value.ingress
    all_traffic_on_latest_revision   = true
    environment_variables = merge(each.value.environment, {
      MODEL_URI            = local.pointers[each.value.model]
      MODEL_BUCKETS        = google_storage_bucket.main["models"].name
      GOOGLE_CLOUD_PROJECT = var.project_id
      LOG_LEVEL            = var.log_level
    })
  }

  depends_on = [
    google_project_iam_member.main,
    google_project_iam_member.build_source,
    google_artifact_registry_repository_iam_member.build,
    google_storage_bucket_iam_member.main,
    google_pubsub_topic_iam_member.main,
    google_service_account_iam_member.deployer,
  ]
}
