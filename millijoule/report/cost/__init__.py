"""What networks cost: tables for the terminal, a page for people."""
