"""What runs inside a function."""
