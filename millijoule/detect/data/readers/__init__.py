"""What is drawn on which image, as each layout of data sets says it."""
