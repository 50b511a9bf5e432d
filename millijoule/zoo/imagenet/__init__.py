"""The networks that lowered ImageNet's error year by year."""
