"""The grants that the code needs, written by hand, and the environment variables left unset."""

from itertools import product

from tests.infra.grants import Grant

UNSET = {
    "PUSH_AUDIENCE": "Cloud Run itself checks the sender, and strips the token's signature",
    "PUSH_SERVICE_ACCOUNT": "goes with PUSH_AUDIENCE",
    "MLFLOW_TRACKING_URI": "a release pointer needs no registry",
    "MLFLOW_TRACKING_TOKEN": "goes with MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME": "likewise",
    "MLFLOW_TRACKING_PASSWORD": "likewise",
    "PUBSUB_EMULATOR_HOST": "Google's Pub/Sub is used",
    "ALLOW_PICKLE": "no model may run code of its own",
    "MODEL_REFRESH_SECONDS": "the default of a minute is right",
    "MAX_BODY_BYTES": "the default of 1 MiB is right",
    "AIP_PREDICT_ROUTE": "Vertex AI sets it if it runs the container",
    "AIP_HEALTH_ROUTE": "likewise",
}
"""Variables that a function reads and Terraform does not set, with the reason."""

MODELS = ("ride-duration", "ride-fare")
_EACH_MODEL = {
    # resolves the pointer and loads the model
    ("{model}-predict", "storage.objectViewer", "bucket models"),
    ("{model}-predict-event", "storage.objectViewer", "bucket models"),
    # every event ends on one of the two topics
    ("{model}-predict-event", "pubsub.publisher", "topic predictions"),
    ("{model}-predict-event", "pubsub.publisher", "topic ride-events-dead-letter"),
    ("{model}-push", "run.invoker", "service {model}-predict-event"),
    ("Pub/Sub", "pubsub.subscriber", "subscription ride-events-{model}"),
    ("ridecast-scheduler", "run.invoker", "service sync-{model}"),
    ("group:apps@example.com", "run.invoker", "service {model}-predict"),
}
_SHARED = {
    ("Pub/Sub", "pubsub.publisher", "topic ride-events-dead-letter"),
    ("Pub/Sub", "pubsub.publisher", "topic bigquery-dead-letter"),
    ("Pub/Sub", "pubsub.subscriber", "subscription predictions-bigquery"),
    ("Pub/Sub", "pubsub.subscriber", "subscription ride-ended-bigquery"),
    ("Pub/Sub", "bigquery.dataEditor", "table predictions"),
    ("Pub/Sub", "bigquery.metadataViewer", "table predictions"),
    ("Pub/Sub", "bigquery.dataEditor", "table ride_ended"),
    ("Pub/Sub", "bigquery.metadataViewer", "table ride_ended"),
    ("Pub/Sub", "storage.objectCreator", "bucket archive"),
    ("Pub/Sub", "storage.legacyBucketReader", "bucket archive"),
    ("BigQuery's connection", "run.invoker", "service ride-duration-predict"),
    ("BigQuery's connection", "storage.objectViewer", "bucket predictions"),
    # reads the model, replaces its own predictions
    ("ridecast-score", "storage.objectViewer", "bucket models"),
    ("ridecast-score", "storage.objectUser", "bucket predictions"),
    ("ridecast-scheduler", "run.invoker", "service score-ride-duration-green"),
    ("ridecast-scheduler", "run.invoker", "service score-ride-duration-yellow"),
    # asks MLflow for the alias, lists the model's files; for the pointer see below
    ("ridecast-sync", "storage.objectViewer", "bucket models"),
    ("ridecast-sync", "run.invoker", "service ridecast-mlflow"),
    ("ridecast-mlflow", "cloudsql.client", "project"),
    ("ridecast-mlflow", "secretmanager.secretAccessor", "secret ridecast-mlflow-database"),
    ("ridecast-mlflow", "storage.objectViewer", "bucket models"),
    ("ridecast-build", "artifactregistry.writer", "repository ridecast"),
    ("ridecast-build", "logging.logWriter", "project"),
    ("ridecast-build", "storage.objectViewer", "bucket source"),
    # people
    ("group:analysts@example.com", "bigquery.connectionUser", "connection ridecast"),
    ("group:analysts@example.com", "bigquery.dataViewer", "dataset ridecast"),
    ("group:analysts@example.com", "bigquery.jobUser", "project"),
    ("group:analysts@example.com", "storage.objectViewer", "bucket predictions"),
    ("group:science@example.com", "run.invoker", "service ridecast-mlflow"),
    ("group:science@example.com", "storage.objectUser", "bucket models"),
    ("serviceAccount:app@example.iam.gserviceaccount.com", "pubsub.publisher", "topic ride-events"),
    ("serviceAccount:app@example.iam.gserviceaccount.com", "pubsub.publisher", "topic ride-ended"),
    # Cloud Build's
    ("ridecast-plan", "storage.objectViewer", "bucket ridecast-state"),
    ("ridecast-plan", "storage.objectViewer", "bucket source"),
    ("ridecast-deploy", "storage.objectUser", "bucket ridecast-state"),
    ("ridecast-deploy", "iam.serviceAccountOpenIdTokenCreator", "account ridecast-deploy"),
}
_CONDITIONAL = {
    Grant("ridecast-sync", "roles/storage.objectUser", "bucket models", "release pointers"),
    Grant("ridecast-build", "roles/storage.objectViewer", "project", "Cloud Functions sources"),
    Grant("ridecast-deploy", "roles/resourcemanager.projectIamAdmin", "project", "narrow roles only"),
}
_PLANNER = (
    "artifactregistry.reader bigquery.connectionUser bigquery.metadataViewer browser "
    "cloudbuild.builds.viewer cloudfunctions.viewer cloudscheduler.viewer cloudsql.viewer "
    "iam.securityReviewer iam.serviceAccountViewer logging.logWriter logging.viewer "
    "monitoring.viewer pubsub.viewer run.viewer secretmanager.viewer "
    "serviceusage.serviceUsageViewer storage.bucketViewer"
)
_DEPLOYER = (
    "artifactregistry.admin bigquery.admin cloudbuild.builds.editor cloudfunctions.admin "
    "cloudscheduler.admin cloudsql.admin iam.serviceAccountAdmin logging.configWriter "
    "logging.logWriter monitoring.editor pubsub.admin run.admin secretmanager.admin "
    "serviceusage.serviceUsageAdmin storage.admin"
)
_ACCOUNTS = (
    *(f"{model}-{part}" for model, part in product(MODELS, ("predict", "predict-event", "push"))),
    *(f"ridecast-{part}" for part in ("build", "mlflow", "scheduler", "score", "sync", "plan", "deploy")),
)

GRANTS = {
    *(Grant(member, f"roles/{role}", resource) for member, role, resource in _SHARED),
    *(
        Grant(member.format(model=model), f"roles/{role}", resource.format(model=model))
        for model, (member, role, resource) in product(MODELS, _EACH_MODEL)
    ),
    *_CONDITIONAL,
    *(Grant("ridecast-plan", f"roles/{role}", "project") for role in _PLANNER.split()),
    *(Grant("ridecast-deploy", f"roles/{role}", "project") for role in _DEPLOYER.split()),
    *(Grant("ridecast-deploy", "roles/iam.serviceAccountUser", f"account {name}") for name in _ACCOUNTS),
}
"""The grants expected from the configuration in infra/tests/everything.tftest.hcl."""
