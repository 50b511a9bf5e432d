"""Tables and charts of comparisons, explanations and audits."""
