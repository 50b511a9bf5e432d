"""What predictions are fitted on: published measurements, how they are compared, and how far off that was."""
