"""Accelerators: energy for each multiplication and addition, and for each access to a level of memory."""
