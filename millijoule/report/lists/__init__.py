"""What is known and what is installed."""
