"""From the perceptron to LeNet-5: the networks before ImageNet."""
