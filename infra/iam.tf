# IAM grants, each on the narrowest resource with a policy of its own. The keys read as sentences in `terraform plan`.
locals {
  members   = { for name, account in google_service_account.main : name => "serviceAccount:${account.email}" }
  bigquery  = "serviceAccount:${google_bigquery_connection.main.cloud_resource[0].service_account_id}"
  delivered = var.repository != ""

  bucket_grants = merge(
    { for name in keys(local.functions) : "${name} reads models" => { bucket = "models", role = "roles/storage.objectViewer", member = local.members[name] } },
    {
      "ridecast-score reads models"         = { bucket = "models", role = "roles/storage.objectViewer", member = local.members["ridecast-score"] }
      "ridecast-score writes predictions"   = { bucket = "predictions", role = "roles/storage.objectUser", member = local.members["ridecast-score"] }
      "ridecast-sync reads models"          = { bucket = "models", role = "roles/storage.objectViewer", member = local.members["ridecast-sync"] }
      "ridecast-build reads the source"     = { bucket = "source", role = "roles/storage.objectViewer", member = local.members["ridecast-build"] }
      "BigQuery reads predictions"          = { bucket = "predictions", role = "roles/storage.objectViewer", member = local.bigquery }
      "Pub/Sub writes the archive"          = { bucket = "archive", role = "roles/storage.objectCreator", member = local.pubsub_agent }
      "Pub/Sub looks up the archive bucket" = { bucket = "archive", role = "roles/storage.legacyBucketReader", member = local.pubsub_agent }
    },
    local.mlflow_here ? { "ridecast-mlflow shows artifacts" = { bucket = "models", role = "roles/storage.objectViewer", member = local.members["ridecast-mlflow"] } } : {},
    local.delivered ? { "ridecast-plan reads the source" = { bucket = "source", role = "roles/storage.objectViewer", member = local.members["ridecast-plan"] } } : {},
    { for member in var.access.data_scientists : "${member} trains and promotes" => { bucket = "models", role = "roles/storage.objectUser", member = member } },
    { for member in var.access.analysts : "${member} reads predictions" => { bucket = "predictions", role = "roles/storage.objectViewer", member = member } },
  )

  topic_grants = merge(
    { for model in keys(var.models) : "${model}-predict-event publishes predictions" => { topic = "predictions", member = local.members["${model}-predict-event"] } },
    { for model in keys(var.models) : "${model}-predict-event publishes dead letters" => { topic = "ride-events-dead-letter", member = local.members["${model}-predict-event"] } },
    { "Pub/Sub publishes dead letters" = { topic = "ride-events-dead-letter", member = local.pubsub_agent } },
    { "Pub/Sub publishes what BigQuery does not take" = { topic = "bigquery-dead-letter", member = local.pubsub_agent } },
    { for member in var.access.publishers : "${member} publishes ride events" => { topic = "ride-events", member = member } },
    { for member in var.access.publishers : "${member} publishes ends of rides" => { topic = "ride-ended", member = member } },
  )

  invokers = merge(
    { for model in keys(var.models) : "${model}-push delivers events" => { service = "${model}-predict-event", member = local.members["${model}-push"] } },
    { for model, settings in var.models : "BigQuery asks ${model}" => {
      service = "${model}-predict"
      member  = local.bigquery
    } if settings.remote_function != "" },
    { for pair in setproduct(keys(var.models), var.access.callers) : "${pair[1]} asks ${pair[0]}" => { service = "${pair[0]}-predict", member = pair[1] } },
  )

  project_grants = merge(
    { "ridecast-build writes logs" = { account = "ridecast-build", role = "roles/logging.logWriter" } },
    local.mlflow_here ? { "ridecast-mlflow connects to its database" = { account = "ridecast-mlflow", role = "roles/cloudsql.client" } } : {},
    { for role in local.planner_roles : "ridecast-plan has ${role}" => { account = "ridecast-plan", role = role } if local.delivered },
    { for role in local.deployer_roles : "ridecast-deploy has ${role}" => { account = "ridecast-deploy", role = role } if local.delivered },
  )
}

resource "google_storage_bucket_iam_member" "main" {
  for_each = local.bucket_grants

  bucket = google_storage_bucket.main[each.value.bucket].name
  role   = each.value.role
  member = each.value.member

  depends_on = [google_pubsub_topic.main] # Pub/Sub's service agent exists once there is a topic
}

resource "google_storage_bucket_iam_member" "sync" {
  bucket = google_storage_bucket.main["models"].name
  role   = "roles/storage.objectUser"
  member = local.members["ridecast-sync"]

  condition {
    title       = "release pointers"
    description = "Release pointers only: model files are written by whoever trains the model."
    expression  = "resource.name.startsWith(\"projects/_/buckets/${google_storage_bucket.main["models"].name}/objects/releases/\")"
  }
}

# Cloud Functions copies each source archive to a bucket of its own, from which the build reads it.
resource "google_project_iam_member" "build_source" {
  project = var.project_id
  role    = "roles/storage.objectViewer"
  member  = local.members["ridecast-build"]

  condition {
    title      = "Cloud Functions sources"
    expression = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-${data.google_project.main.number}-${var.region}\")"
  }
}

resource "google_pubsub_topic_iam_member" "main" {
  for_each = local.topic_grants

  topic  = google_pubsub_topic.main[each.value.topic].id
  role   = "roles/pubsub.publisher"
  member = each.value.member
}

# To forward a message to a dead-letter topic, Pub/Sub must acknowledge it on the subscription.
resource "google_pubsub_subscription_iam_member" "dead_letter" {
  for_each = { for each in concat(values(google_pubsub_subscription.push), values(google_pubsub_subscription.bigquery)) : each.name => each }

  subscription = each.value.id
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_cloud_run_v2_service_iam_member" "main" {
  for_each = local.invokers

  name     = google_cloudfunctions2_function.main[each.value.service].name
  location = var.region
  role     = "roles/run.invoker"
  member   = each.value.member
}

resource "google_artifact_registry_repository_iam_member" "build" {
  repository = google_artifact_registry_repository.main.name
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = local.members["ridecast-build"]
}

resource "google_project_iam_member" "main" {
  for_each = local.project_grants

  project = var.project_id
  role    = each.value.role
  member  = local.members[each.value.account]
}
