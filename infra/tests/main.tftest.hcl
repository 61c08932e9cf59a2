# The whole plan, with a provider that asks nobody. `make infra` runs this, and more over the plan as JSON.
mock_provider "google" {}

variables {
  project_id     = "ridecast-test"
  environment    = "dev"
  source_archive = "tests/source.zip"
  jobs_image     = "us-central1-docker.pkg.dev/ridecast-test/ridecast/jobs:1"
}

run "applies" {
  command = apply
}

run "plan" {
  command = plan
}
