"""The way from the perceptron to LeNet-5, each trained as it was, on the same images."""

from millijoule.train.history.methods import history
from millijoule.train.history.record import Result
from millijoule.train.history.rosenblatt import Xor, xor

__all__ = ["Result", "Xor", "history", "xor"]
