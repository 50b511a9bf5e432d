"""Labelled images and training: Graph + Dataset → Model. torch is imported only where a network runs."""

from millijoule.train.checkpoint import load_checkpoint
from millijoule.train.data import Dataset, load_data
from millijoule.train.evaluation import Evaluation, answer, evaluate
from millijoule.train.loop import train
from millijoule.train.network import accuracy, predict
from millijoule.train.prepare import prepare, quantized_inputs
from millijoule.train.run_folder import is_run, load_run

__all__ = [
    "Dataset",
    "Evaluation",
    "accuracy",
    "answer",
    "evaluate",
    "is_run",
    "load_checkpoint",
    "load_data",
    "load_run",
    "predict",
    "prepare",
    "quantized_inputs",
    "train",
]
