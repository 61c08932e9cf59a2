environment         = "prod"
deletion_protection = true
database_tier       = "db-custom-1-3840"
archive_days        = 365
# alert_emails      = ["duty@example.com"] # required

models = {
  "ride-duration" = {
    remote_function = "predict_duration"
    scored_taxis    = ["green", "yellow"]
    min_instances   = 1  # no ride waits for a cold start
    max_instances   = 20 # with 1 vCPU each, as many as the quota of a new project allows in a region
  }
}
