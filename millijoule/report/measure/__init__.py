"""What was measured on this computer: tables for the terminal, a page of charts for people."""
