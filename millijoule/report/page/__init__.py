"""What pages are made of: the frame, its style, tables and drawings."""
