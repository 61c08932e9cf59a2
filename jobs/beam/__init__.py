"""Apache Beam: the same rides by the same model, on more machines than one.

options.py     Beam's own options: what runs the pipeline, and whether it can
months.py      Parquet in, Parquet out: parts of files → batches → RunInference → shards
shards.py      what is written waits beside its place until all of it is there
events.py      Pub/Sub in, Pub/Sub out: messages → RunInference → predictions and dead letters
service.py     the model in service in a worker, as the functions have it
pubsub.py      on this machine: pulled messages, acknowledged when their answers are confirmed
"""
