"""What was found, for people and for programs: tables, pages, JSON; a room for each kind of result."""
