"""Ridecast's whole cloud on this machine: emulators, an MLflow server and both functions."""
