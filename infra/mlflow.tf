# The MLflow server: private, with runs and versions in Cloud SQL and artifacts in the model bucket.
locals {
  mlflow_here = var.mlflow_uri == ""
  mlflow_runs = local.mlflow_here && var.jobs_image != ""
  mlflow_uri  = local.mlflow_runs ? google_cloud_run_v2_service.mlflow[0].uri : var.mlflow_uri
  mlflow_users = local.mlflow_runs ? merge(
    { "ridecast-sync reads versions" = local.members["ridecast-sync"] },
    { for member in var.access.data_scientists : "${member} works in it" => member },
  ) : {}
}

resource "google_sql_database_instance" "mlflow" {
  count = local.mlflow_here ? 1 : 0

  # Without a name of its own: Google keeps the name of a deleted instance for a week, in which it cannot be used again.
  region              = var.region
  database_version    = "POSTGRES_17"
  deletion_protection = var.deletion_protection

  settings {
    tier                        = var.database_tier
    edition                     = "ENTERPRISE"
    disk_autoresize             = true
    deletion_protection_enabled = var.deletion_protection
    # The address is public, but no network is authorised: only Google's connector gets in, with an IAM identity.
    connector_enforcement = "REQUIRED"

    ip_configuration {
      ipv4_enabled = true
      ssl_mode     = "TRUSTED_CLIENT_CERTIFICATE_REQUIRED" # the connector provides one
    }
    database_flags {
      name  = "log_checkpoints"
      value = "on"
    }
    database_flags {
      name  = "log_connections"
      value = "on"
    }
    database_flags {
      name  = "log_disconnections"
      value = "on"
    }
    database_flags {
      name  = "log_lock_waits"
      value = "on"
    }
    database_flags {
      name  = "log_min_messages"
      value = "error"
    }
    database_flags {
      name  = "log_min_error_statement"
      value = "error"
    }
    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
    }
  }

  depends_on = [google_project_service.main]
}

resource "google_sql_database" "mlflow" {
  count = local.mlflow_here ? 1 : 0

  name            = "mlflow"
  instance        = google_sql_database_instance.mlflow[0].name
  deletion_policy = "ABANDON" # PostgreSQL does not drop a database in use; it goes with its instance
}

# Neither the secret's version nor the database user is created here: `infra/deploy` creates both, so that the password
# appears in no state, plan or variable.
resource "google_secret_manager_secret" "mlflow" {
  count = local.mlflow_here ? 1 : 0

  secret_id = "ridecast-mlflow-database"
  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.main]
}

resource "google_secret_manager_secret_iam_member" "mlflow" {
  count = local.mlflow_here ? 1 : 0

  secret_id = google_secret_manager_secret.mlflow[0].id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.members["ridecast-mlflow"]
}

resource "google_cloud_run_v2_service" "mlflow" {
  count = local.mlflow_runs ? 1 : 0

  name                = "ridecast-mlflow"
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_ALL" # reachable from the internet; IAM decides who may call it
  deletion_protection = var.deletion_protection

  template {
    service_account = google_service_account.main["ridecast-mlflow"].email

    scaling {
      min_instance_count = 0
      max_instance_count = 2
    }

    volumes {
      name = "cloudsql"
      cloud_sql_instance {
        instances = [google_sql_database_instance.mlflow[0].connection_name]
      }
    }

    containers {
      image   = var.jobs_image
      command = ["python", "-m", "mlflow"]
      args = [
        "server", "--host=0.0.0.0", "--port=8080", "--workers=1",
        "--backend-store-uri=postgresql://mlflow@/mlflow?host=/cloudsql/${google_sql_database_instance.mlflow[0].connection_name}",
        "--default-artifact-root=gs://${google_storage_bucket.main["models"].name}/mlflow",
        "--no-serve-artifacts",
        "--allowed-hosts=ridecast-mlflow-*.run.app,localhost:*,127.0.0.1:*", # MLflow refuses other host names
      ]

      ports {
        container_port = 8080
      }
      resources {
        limits            = { cpu = "1", memory = "2Gi" }
        startup_cpu_boost = true
      }
      env {
        name = "PGPASSWORD" # read by the database's driver
        value_source {
          secret_key_ref {
            secret  = google_secret_manager_secret.mlflow[0].secret_id
            version = "latest"
          }
        }
      }
      # A small database allows 25 connections. An instance has two pools, for runs and for models, of five each.
      env {
        name  = "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE"
        value = "4"
      }
      env {
        name  = "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW"
        value = "1" # 0 would mean MLflow's default
      }
      env {
        name  = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION" # would start eight processes that are not needed here
        value = "false"
      }
      startup_probe { # the first start creates the tables
        period_seconds    = 10
        failure_threshold = 24
        http_get {
          path = "/health"
        }
      }
      volume_mounts {
        name       = "cloudsql"
        mount_path = "/cloudsql"
      }
    }
  }

  depends_on = [
    google_project_iam_member.main,
    google_secret_manager_secret_iam_member.mlflow,
    google_service_account_iam_member.deployer,
    google_sql_database.mlflow,
  ]
}

resource "google_cloud_run_v2_service_iam_member" "mlflow" {
  for_each = local.mlflow_users

  name     = google_cloud_run_v2_service.mlflow[0].name
  location = var.region
  role     = "roles/run.invoker"
  member   = each.value
}
