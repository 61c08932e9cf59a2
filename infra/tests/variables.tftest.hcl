# Breaks each validation rule once.
mock_provider "google" {}

variables {
  project_id     = "ridecast-test"
  environment    = "dev"
  source_archive = "tests/source.zip"
}

run "project_id" {
  command = plan

  variables {
    project_id = "Ridecast Test"
  }

  expect_failures = [var.project_id]
}

run "region" {
  command = plan

  variables {
    region = "us-central1-a"
  }

  expect_failures = [var.region]
}

run "environment" {
  command = plan

  variables {
    environment = "staging"
  }

  expect_failures = [var.environment]
}

run "source_archive" {
  command = plan

  variables {
    source_archive = "tests/absent.zip"
  }

  expect_failures = [var.source_archive]
}

run "jobs_image" {
  command = plan

  variables {
    jobs_image = "jobs:latest"
  }

  expect_failures = [var.jobs_image]
}

run "models_without_ride_duration" {
  command = plan

  variables {
    models = { other = {} }
  }

  expect_failures = [var.models]
}

run "models_with_a_long_name" {
  command = plan

  variables {
    models = { "ride-duration" = {}, "a-name-that-is-too-long" = {} }
  }

  expect_failures = [var.models]
}

run "models_with_little_memory" {
  command = plan

  variables {
    models = { "ride-duration" = { memory_mib = 256 } }
  }

  expect_failures = [var.models]
}

run "models_with_places_that_a_part_of_a_cpu_has_not" {
  command = plan

  variables {
    models = { "ride-duration" = { cpu = 0.5 } }
  }

  expect_failures = [var.models]
}

run "models_with_more_at_least_than_at_most" {
  command = plan

  variables {
    models = { "ride-duration" = { min_instances = 11 } }
  }

  expect_failures = [var.models]
}

run "models_with_unknown_taxis" {
  command = plan

  variables {
    models = { "ride-duration" = { scored_taxis = ["blue"] } }
  }

  expect_failures = [var.models]
}

run "models_with_a_name_that_is_none_in_bigquery" {
  command = plan

  variables {
    models = { "ride-duration" = { remote_function = "predict-duration" } }
  }

  expect_failures = [var.models]
}

run "models_with_a_target_that_is_no_column" {
  command = plan

  variables {
    models = { "ride-duration" = { target = "ride duration" } }
  }

  expect_failures = [var.models]
}

run "log_level" {
  command = plan

  variables {
    log_level = "LOUD"
  }

  expect_failures = [var.log_level]
}

run "trips" {
  command = plan

  variables {
    trips = "trips.parquet"
  }

  expect_failures = [var.trips]
}

run "scored_months_back" {
  command = plan

  variables {
    scored_months_back = 0
  }

  expect_failures = [var.scored_months_back]
}

run "mlflow_uri" {
  command = plan

  variables {
    mlflow_uri = "http://mlflow.example.com"
  }

  expect_failures = [var.mlflow_uri]
}

run "database_tier" {
  command = plan

  variables {
    database_tier = "small"
  }

  expect_failures = [var.database_tier]
}

run "archive_days" {
  command = plan

  variables {
    archive_days = 1
  }

  expect_failures = [var.archive_days]
}

run "prod_without_alert_emails" {
  command = plan

  variables {
    environment  = "prod"
    alert_emails = []
  }

  expect_failures = [var.alert_emails]
}

run "alert_emails" {
  command = plan

  variables {
    alert_emails = ["nobody"]
  }

  expect_failures = [var.alert_emails]
}

run "access" {
  command = plan

  variables {
    access = { callers = ["allUsers"] }
  }

  expect_failures = [var.access]
}

run "repository" {
  command = plan

  variables {
    repository = "github.com/someone/ridecast"
  }

  expect_failures = [var.repository]
}
