"""What `deploy` gives: tables for the terminal, JSON for programs, a page for people."""

from millijoule.report.deployment.result import Deployment, write_reports

__all__ = ["Deployment", "write_reports"]
