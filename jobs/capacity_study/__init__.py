"""A capacity study: simulates the functions on Cloud Run, based on measurements of one process."""
