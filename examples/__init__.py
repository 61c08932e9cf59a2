"""What else Ridecast's tools are good for."""
