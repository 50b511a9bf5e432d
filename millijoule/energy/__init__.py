"""What an inference takes on a device, in time and energy: predicted, with the range that such predictions had."""
