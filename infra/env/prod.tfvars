environment         = "prod"
deletion_protection = true
database_tier       = "db-custom-1-3840"
archive_days        = 365

models = {
  "ride-duration" = {
    remote_function = "predict_duration"
    scored_taxis    = ["green", "yellow"]
    min_instances   = 1   # no ride waits for a cold start
    max_instances   = 100 # Cloud Run's default maximum of a revision
  }
}
