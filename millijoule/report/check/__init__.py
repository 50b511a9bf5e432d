"""Budgets against what a network needs on a device: the verdict, and the forms in which it is told."""

from millijoule.report.check.result import Budget, Check, Difference, Verdict

__all__ = ["Budget", "Check", "Difference", "Verdict"]
