"""Plans of memory: pictures and tables for the terminal, a page for people."""
