"""Deep belief networks: layer by layer by contrastive divergence, without labels."""

from __future__ import annotations

import numpy as np

from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.train.initial import initial_weights
from millijoule.train.prepare import fit

RATE, MOMENTUM, DECAY, BATCH = 0.1, 0.5, 2e-4, 100
"""As in G. Hinton, "A practical guide to training restricted Boltzmann machines", 2010, sections 7 to 10."""


def pretrain(graph: Graph, images: np.ndarray, preprocess: dict[str, list[float]], epochs: int, seed: int) -> Model:
    """`zoo.deep_belief` with hidden layers that were learnt greedily; the output layer is as training begins.

    Each hidden layer is a restricted Boltzmann machine that learns to represent the layer below by one step of
    contrastive divergence (Hinton, Osindero and Teh 2006, section 5, and Hinton 2002). Visible units are shares, of the
    pixels first. images: uint8 (n, height, width, channels). preprocess: how inputs will be normalised, which the first
    layer's weights are adjusted to.
    """
    shape = graph.inputs[0].shape
    weights = initial_weights(graph, seed)
    visible = fit(images, shape).reshape(len(images), -1).astype(np.float32) / 255
    layers = [node.name for node in graph.nodes if f"{node.name}.weight" in weights][:-1]
    for number, name in enumerate(layers):
        random = np.random.default_rng([seed, number])
        weight, bias = boltzmann(visible, weights[f"{name}.bias"].shape[0], epochs, random)
        visible = _sigmoid(visible @ weight.T + bias)
        if number == 0:
            # Inputs are (pixel - mean) / std: pixel = std · input + mean.
            mean, std = preprocess["mean"][0], preprocess["std"][0]
            weight, bias = weight * np.float32(std), bias + np.float32(mean) * weight.sum(axis=1)
        weights[f"{name}.weight"], weights[f"{name}.bias"] = weight, bias
    return Model(graph, weights, preprocess=preprocess)


def boltzmann(
    visible: np.ndarray, hidden: int, epochs: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(weights (hidden, visible), hidden biases) of a restricted Boltzmann machine that has learnt `visible`.

    visible: float32 (n, units), 0…1.
    """
    units = visible.shape[1]
    weight = random.normal(0, 0.01, (hidden, units)).astype(np.float32)
    bias, visible_bias = np.zeros(hidden, np.float32), _log_odds(visible.mean(axis=0))
    velocity = np.zeros_like(weight)
    for _ in range(epochs):
        for batch in np.array_split(random.permutation(len(visible)), max(1, len(visible) // BATCH)):
            data = visible[batch]
            excited = _sigmoid(data @ weight.T + bias)
            states = (random.random(excited.shape, np.float32) < excited).astype(np.float32)
            dreamt = _sigmoid(states @ weight + visible_bias)
            dreamt_hidden = _sigmoid(dreamt @ weight.T + bias)
            gradient = (excited.T @ data - dreamt_hidden.T @ dreamt) / np.float32(len(batch))
            velocity = MOMENTUM * velocity + RATE * (gradient - DECAY * weight)
            weight += velocity
            bias += RATE * (excited - dreamt_hidden).mean(axis=0)
            visible_bias += RATE * (data - dreamt).mean(axis=0)
    return weight, bias


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return (np.tanh(x * np.float32(0.5)) + 1) * np.float32(0.5)


def _log_odds(share: np.ndarray) -> np.ndarray:
    inside = np.clip(share, 0.01, 0.99)
    return np.log(inside / (1 - inside)).astype(np.float32)
