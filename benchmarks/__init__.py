"""Speed, measured side by side: what Ridecast claims, in ratios of one run."""
