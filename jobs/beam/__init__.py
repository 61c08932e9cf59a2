"""Apache Beam pipelines: batch scoring and streaming on several processes or machines."""
