# Cloud Build: a read-only account plans pull requests, another account applies merges.
locals {
  state_bucket = "${var.project_id}-ridecast-state" # created by infra/deploy, before there is a state

  planner_roles = [
    "roles/artifactregistry.reader",
    "roles/bigquery.connectionUser",
    "roles/bigquery.metadataViewer",
    "roles/browser",
    "roles/cloudbuild.builds.viewer",
    "roles/cloudfunctions.viewer",
    "roles/cloudscheduler.viewer",
    "roles/cloudsql.viewer",
    "roles/iam.securityReviewer",
    "roles/iam.serviceAccountViewer",
    "roles/logging.logWriter",
    "roles/logging.viewer",
    "roles/monitoring.viewer",
    "roles/pubsub.viewer",
    "roles/run.viewer",
    "roles/secretmanager.viewer",
    "roles/serviceusage.serviceUsageViewer",
    "roles/storage.bucketViewer",
  ]
  # Close to owner: an administrator of all accounts can let itself act as each. Only merges into main run as this account.
  deployer_roles = [
    "roles/artifactregistry.admin",
    "roles/bigquery.admin",
    "roles/cloudbuild.builds.editor",
    "roles/cloudfunctions.admin",
    "roles/cloudscheduler.admin",
    "roles/cloudsql.admin",
    "roles/iam.serviceAccountAdmin",
    "roles/logging.configWriter",
    "roles/logging.logWriter",
    "roles/monitoring.editor",
    "roles/pubsub.admin",
    "roles/run.admin",
    "roles/secretmanager.admin",
    "roles/serviceusage.serviceUsageAdmin",
    "roles/storage.admin",
  ]

  triggers = local.delivered ? {
    plan   = { account = "ridecast-plan", apply = "false", push = [], pull_request = ["^main$"] }
    deploy = { account = "ridecast-deploy", apply = "true", push = ["^main$"], pull_request = [] }
  } : {}
}

resource "google_cloudbuild_trigger" "main" {
  for_each = local.triggers

  name            = "ridecast-${each.key}"
  location        = var.region
  filename        = "cloudbuild.yaml"
  service_account = google_service_account.main[each.value.account].id

  substitutions = {
    _REGION       = var.region
    _ENVIRONMENT  = var.environment
    _STATE_BUCKET = local.state_bucket
    _ACCOUNT      = each.value.account
    _APPLY        = each.value.apply
  }

  repository_event_config {
    repository = var.repository
    dynamic "push" {
      for_each = each.value.push
      content {
        branch = push.value
      }
    }
    dynamic "pull_request" {
      for_each = each.value.pull_request
      content {
        branch          = pull_request.value
        comment_control = "COMMENTS_ENABLED_FOR_EXTERNAL_CONTRIBUTORS_ONLY"
      }
    }
  }

  depends_on = [
    google_project_iam_member.main,
    google_project_iam_member.deployer,
    google_service_account_iam_member.deployer,
  ]
}

# Deploying a function, job or trigger that runs as a service account needs permission to act as that account.
resource "google_service_account_iam_member" "deployer" {
  for_each = local.delivered ? toset(keys(local.accounts)) : []

  service_account_id = google_service_account.main[each.key].name
  role               = "roles/iam.serviceAccountUser"
  member             = local.members["ridecast-deploy"]
}

# The smoke test calls the functions over HTTP; Cloud Build issues its identity token only with this role.
resource "google_service_account_iam_member" "smoke" {
  count = local.delivered ? 1 : 0

  service_account_id = google_service_account.main["ridecast-deploy"].name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.members["ridecast-deploy"]
}

# Project-wide it may grant only the roles of the running services and of analysts; other roles need a project owner.
resource "google_project_iam_member" "deployer" {
  count = local.delivered ? 1 : 0

  project = var.project_id
  role    = "roles/resourcemanager.projectIamAdmin"
  member  = local.members["ridecast-deploy"]

  condition {
    title      = "narrow roles only"
    expression = "api.getAttribute(\"iam.googleapis.com/modifiedGrantsByRole\", []).hasOnly([\"roles/logging.logWriter\", \"roles/cloudsql.client\", \"roles/storage.objectViewer\", \"roles/bigquery.jobUser\"])"
  }
}

resource "google_storage_bucket_iam_member" "state" {
  for_each = local.delivered ? { "ridecast-plan" = "roles/storage.objectViewer", "ridecast-deploy" = "roles/storage.objectUser" } : {}

  bucket = local.state_bucket
  role   = each.value
  member = local.members[each.key]
}
