"""What a training did, and what a trained network sees: tables, curves, pages."""
