"""A study: the functions on Cloud Run, simulated from what was measured of one process."""
