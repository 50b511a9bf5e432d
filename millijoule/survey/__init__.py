"""What a network's cost means: networks beside each other, what makes one cheaper, claims put to the test."""

from millijoule.survey.audit import audit
from millijoule.survey.compare import compare
from millijoule.survey.explain import explain

__all__ = ["audit", "compare", "explain"]
