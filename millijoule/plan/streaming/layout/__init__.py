"""What happens when, and where in the arena everything lies meanwhile."""
