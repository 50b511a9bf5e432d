"""Why an int8 network answers worse than its float network, and what brings the answers back."""

from millijoule.diagnose.diagnosis import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
