"""Labelled images and training: Graph + Dataset → Model. torch is imported only where a network runs."""

from millijoule.train.checkpoint import load_checkpoint
from millijoule.train.data import Dataset, load_data
from millijoule.train.loop import train
from millijoule.train.network import accuracy, predict
from millijoule.train.prepare import prepare, quantized_inputs

__all__ = ["Dataset", "accuracy", "load_checkpoint", "load_data", "predict", "prepare", "quantized_inputs", "train"]
