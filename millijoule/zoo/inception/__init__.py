"""Networks of parallel branches."""
