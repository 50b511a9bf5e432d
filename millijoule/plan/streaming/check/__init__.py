"""Proof of plans by replay, on marks and on numbers."""
