"""Benchmarks of Ridecast, its upper limits and other tools; compared as ratios within one run."""
