"""Training: each step against numbers worked out by hand, the same twice, never lost."""

import math
import re
import sys
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from millijoule.errors import MillijouleError, ModelError, OptionError, ToolError
from millijoule.ops import BatchNorm, Conv2d, Dense, Flatten, Relu
from millijoule.train import Dataset, accuracy, load_checkpoint, prepare, train
from millijoule.train.checkpoint import FILE, Best
from millijoule.train.initial import initial_weights
from millijoule.train.loop import RECIPES, Settings, Trainer, choose, defaults
from millijoule.train.loop.classification import Classification
from millijoule.train.network import build_network
from tests.train.cases import everything_random, graph_of, linear, stripes

SETTINGS = Settings(
    epochs=4, batch_size=8, learning_rate=0.1, momentum=0.9, weight_decay=0.0, schedule="constant", warm_up=0.0,
    loss="cross_entropy", validation=0.25, shift=0, seed=0,
)  # fmt: skip
GENTLE = {"epochs": 3, "learning_rate": 0.03, "batch_size": 8}


def assert_same(first, second) -> None:
    assert first.weights.keys() == second.weights.keys()
    assert all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)


def whole_batch(dataset: Dataset, epochs: int, **changes):
    """Full-batch training of a linear network: one step for each epoch, nothing random."""
    fixed = {"batch_size": len(dataset.x_train), "schedule": "constant", "warm_up": 0, "validation": 0, "shift": 0}
    return train(linear(), dataset, epochs=epochs, loss="squared_error", **fixed | changes)


def test_steps_are_those_of_momentum_sgd_worked_out_by_hand():
    """v ← m·v + g + d·w, w ← w - r·v; the gradient of the mean of |Wx + b - t|² / 2; biases do not decay."""
    dataset, rate, momentum, decay = stripes(), 0.002, 0.8, 0.5
    start = initial_weights(linear(), seed=3)
    model = whole_batch(dataset, 3, learning_rate=rate, momentum=momentum, weight_decay=decay, seed=3)
    x = prepare(dataset.x_train, (6, 6, 1), model.preprocess).reshape(-1, 36).astype(np.float64)
    targets = np.eye(2)[dataset.y_train]
    weight, bias = start["n1.weight"].astype(np.float64), start["n1.bias"].astype(np.float64)
    weight_velocity, bias_velocity = np.zeros_like(weight), np.zeros_like(bias)
    for _ in range(3):
        error = (x @ weight.T + bias - targets) / len(x)
        weight_velocity = momentum * weight_velocity + error.T @ x + decay * weight
        bias_velocity = momentum * bias_velocity + error.sum(axis=0)
        weight, bias = weight - rate * weight_velocity, bias - rate * bias_velocity
    np.testing.assert_allclose(model.weights["n1.weight"], weight, rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.weights["n1.bias"], bias, rtol=0, atol=1e-6)
    assert np.abs(weight - start["n1.weight"]).max() > 0.01


def test_nesterov_looks_ahead():
    """w ← w - r · (g + m·v) after v ← m·v + g (Sutskever et al. 2013, in torch's form)."""
    dataset, rate, momentum = stripes(), 0.002, 0.8
    start = initial_weights(linear(), seed=0)
    model = whole_batch(dataset, 2, learning_rate=rate, momentum=momentum, weight_decay=0, nesterov=True)
    x = prepare(dataset.x_train, (6, 6, 1), model.preprocess).reshape(-1, 36).astype(np.float64)
    weight, bias = start["n1.weight"].astype(np.float64), start["n1.bias"].astype(np.float64)
    velocities = [np.zeros_like(weight), np.zeros_like(bias)]
    for _ in range(2):
        error = (x @ weight.T + bias - np.eye(2)[dataset.y_train]) / len(x)
        gradients = [error.T @ x, error.sum(axis=0)]
        velocities = [momentum * v + g for v, g in zip(velocities, gradients, strict=True)]
        weight, bias = (
            w - rate * (g + momentum * v) for w, g, v in zip((weight, bias), gradients, velocities, strict=True)
        )
    np.testing.assert_allclose(model.weights["n1.weight"], weight, rtol=0, atol=1e-6)


def test_adamw_moves_by_the_rate_and_decays_apart_from_the_gradient():
    """The first step of Adam is rate · sign(g); the decay of AdamW multiplies by 1 - rate · d."""
    dataset, rate, decay = stripes(), 0.01, 0.5
    start = initial_weights(linear(), seed=0)["n1.weight"].astype(np.float64)
    model = whole_batch(dataset, 1, optimizer="adamw", learning_rate=rate, weight_decay=decay)
    x = prepare(dataset.x_train, (6, 6, 1), model.preprocess).reshape(-1, 36)
    gradient = (x @ start.T - np.eye(2)[dataset.y_train]).T @ x
    expected = start * (1 - rate * decay) - rate * np.sign(gradient)
    np.testing.assert_allclose(model.weights["n1.weight"], expected, rtol=0, atol=1e-6)


def test_gradients_are_scaled_to_the_clip():
    dataset, rate = stripes(), 1.0
    start = initial_weights(linear(), seed=0)
    model = whole_batch(dataset, 1, learning_rate=rate, weight_decay=0, clip=0.01)
    moved = [model.weights[name].astype(np.float64) - start[name] for name in start]
    assert math.sqrt(sum(np.square(each).sum() for each in moved)) == pytest.approx(0.01, rel=1e-4)


def test_averaged_weights_follow_the_trained_ones_and_are_what_is_kept():
    settings = replace(SETTINGS, average=0.9)
    trainer = trainer_of(everything_random(), settings)
    expected = trainer.weights()
    for step, _ in enumerate(trainer.steps_of(0)):
        keep = min(0.9, (1 + step) / (10 + step))
        expected = {name: keep * expected[name] + (1 - keep) * now for name, now in trainer.weights().items()}
    kept = trainer.kept_weights()
    for name, array in expected.items():
        np.testing.assert_allclose(kept[name], array, rtol=0, atol=1e-6)
    assert not np.array_equal(kept["n5.weight"], trainer.weights()["n5.weight"])
    score = trainer.evaluate()
    before = trainer.weights()
    trainer.arrays["n5.weight"].data.zero_()
    assert trainer.evaluate() == score, "the averaged weights are evaluated"
    assert before.keys() == trainer.weights().keys()


def test_mixed_up_images_train_on_both_labels(monkeypatch):
    import torch

    trainer = trainer_of(linear(), replace(SETTINGS, mixup=0.5))
    seen = []
    monkeypatch.setattr(trainer, "forward", lambda x, values: seen.append(x) or {"n1": trainer.network(x)["n1"]})
    list(trainer.steps_of(0))
    originals = trainer.task.prepared(trainer.task.images[trainer.task.train_set])
    distances = torch.cdist(torch.cat(seen).flatten(1), originals.flatten(1)).min(dim=1).values
    assert (distances > 0.1).sum() > 10


def test_bfloat16_is_close_to_float32_but_not_equal():
    graph = graph_of(Conv2d(channels=4, kernel=3, activation="relu"), Flatten(), Dense(features=2))
    losses = []
    for precision in ("float32", "bfloat16"):
        trainer = trainer_of(graph, replace(SETTINGS, precision=precision))
        losses.append([loss for _, loss in trainer.steps_of(0)])
        assert trainer.weights()["n0.weight"].dtype == np.float32
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert losses[0] != losses[1]


@pytest.mark.parametrize(("groups", "precision"), [(1, "bfloat16"), (2, "bfloat16"), (4, "float32")])
def test_of_convolutions_in_bfloat16_depthwise_ones_stay_float32(groups, precision):
    import torch

    graph = graph_of(Conv2d(channels=4, kernel=3, stride=2, padding="same", groups=groups), shape=(6, 6, 4))
    network = build_network(graph)
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = network(torch.ones(2, 6, 6, 4, dtype=torch.bfloat16)).values()
    assert found.dtype == getattr(torch, precision)
    found.sum().backward()
    assert network.nodes[0].weight.grad.abs().min() > 0


def test_automatic_precision_is_float32_for_small_steps(monkeypatch):
    from millijoule.train.loop.machine import Machine

    loop = import_module("millijoule.train.loop")
    monkeypatch.setattr(Machine, "has_bfloat16", True)
    used = []
    evaluate = Trainer.evaluate
    monkeypatch.setattr(Trainer, "evaluate", lambda self: used.append(self.settings.precision) or evaluate(self))
    for limit in (10**9, 0):
        monkeypatch.setattr(loop, "BFLOAT16_MACS", limit)
        train(linear(), stripes(), epochs=1)
    assert used == ["float32", "bfloat16"]


def test_without_a_compiler_training_goes_on_and_says_so(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    model = train(linear(), stripes(), epochs=1, compiled=True)
    assert model.notes == ("torch.compile needs a C++ compiler, and none was found: the network ran uncompiled",)


def test_only_arrays_of_several_dimensions_decay():
    trainer = trainer_of(everything_random(), replace(SETTINGS, weight_decay=0.25))
    decays = {
        name: group["weight_decay"]
        for group in trainer.optimizer.param_groups
        for name, array in trainer.trained.items()
        if any(array is other for other in group["params"])
    }
    assert decays == {
        "n0.weight": 0.25, "n1.scale": 0, "n1.bias": 0, "n5.weight": 0.25, "n5.bias": 0,
    }  # fmt: skip


def test_a_bias_that_batch_norm_takes_out_again_is_not_trained():
    """Whatever it is, nothing behind it changes but rounding; an older checkpoint keeps its momentum, too."""
    readers = {"norm": (BatchNorm(),), "both": (Relu(), BatchNorm()), "none": ()}
    trained = {}
    for name, between in readers.items():
        graph = graph_of(Conv2d(channels=4, kernel=3), *between, Flatten(), Dense(features=2))
        trained[name] = trainer_of(graph, SETTINGS).trained
    assert "n0.bias" not in trained["norm"]
    assert "n0.bias" in trained["both"]
    assert "n0.bias" in trained["none"]

    trainer, other = (trainer_of(everything_random(), SETTINGS) for _ in range(2))
    other.arrays["n0.bias"].data.add_(0.5)
    losses = [[loss for _, loss in each.steps_of(0)] for each in (trainer, other)]
    np.testing.assert_allclose(*losses, rtol=1e-5)

    best = Best(1, 1.0, 0.0, trainer.weights())
    state = trainer.state(1, best)
    older = {**state.optimizer, "momentum_buffer/n0.bias": np.ones(4, np.float32)}
    other.restore(replace(state, optimizer=older))
    assert all(np.array_equal(other.weights()[name], array) for name, array in trainer.weights().items())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_norm_biases_learn_at_a_rate_of_their_own(optimizer):
    moved = []
    for times in (1.0, 4.0):
        settings = replace(SETTINGS, optimizer=optimizer, norm_bias_rate=times, batch_size=30)
        trainer = trainer_of(everything_random(), settings)
        before = trainer.weights()
        list(trainer.steps_of(0))
        moved.append({name: array - before[name] for name, array in trainer.weights().items()})
    for name in trainer.trained:
        times = 4.0 if name == "n1.bias" else 1.0
        np.testing.assert_allclose(moved[1][name], times * moved[0][name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert np.abs(moved[0]["n1.bias"]).max() > 1e-3


def test_a_whitening_convolution_keeps_its_weights_and_trains_its_biases():
    graph = graph_of(Conv2d(channels=4, kernel=3, activation="relu"), Flatten(), Dense(features=2))
    one = train(graph, stripes(), whiten=True, weight_decay=0.1, **GENTLE | {"epochs": 1})
    more = train(graph, stripes(), whiten=True, weight_decay=0.1, seed=1, **GENTLE)
    plain = train(graph, stripes(), **GENTLE)
    assert np.array_equal(one.weights["n0.weight"], more.weights["n0.weight"])
    assert not np.array_equal(plain.weights["n0.weight"], more.weights["n0.weight"])
    assert more.weights["n0.bias"].any()
    with pytest.raises(OptionError, match="network 'net' does not begin with a convolution: leave whiten out"):
        train(linear(), stripes(), whiten=True)


def test_the_linear_schedule_is_a_triangle():
    settings = replace(SETTINGS, schedule="linear", warm_up=0.2, learning_rate=0.8)
    rates = [settings.learning_rate_at(done) for done in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert rates == pytest.approx([0.0, 0.4, 0.8, 0.4, 0.0])


def trainer_of(graph, settings=SETTINGS, dataset=None) -> Trainer:
    from millijoule.model import Model
    from millijoule.train.loss import make_loss

    dataset = dataset or stripes()
    preprocess = {"mean": [0.5], "std": [0.25]}
    model = Model(graph, initial_weights(graph, 0), labels=dataset.classes, preprocess=preprocess)
    loss = make_loss(graph, settings, dataset.y_train)
    return Trainer(Classification(model, loss, dataset.x_train, dataset.y_train, settings))


@pytest.mark.parametrize(
    ("schedule", "warm_up", "expected"),
    [
        ("constant", 0.0, {0.0: 1, 0.5: 1, 1.0: 1}),
        ("step", 0.0, {0.0: 1, 0.49: 1, 0.5: 0.1, 0.74: 0.1, 0.75: 0.01, 1.0: 0.01}),
        ("cosine", 0.0, {0.0: 1, 1 / 3: 0.75, 0.5: 0.5, 2 / 3: 0.25, 1.0: 0}),
        ("constant", 0.2, {0.0: 0, 0.05: 0.25, 0.1: 0.5, 0.2: 1, 0.9: 1}),
    ],
)
def test_schedules(schedule, warm_up, expected):
    settings = replace(SETTINGS, schedule=schedule, warm_up=warm_up, learning_rate=0.5)
    found = {done: settings.learning_rate_at(done) for done in expected}
    assert found == pytest.approx({done: 0.5 * share for done, share in expected.items()})


def test_one_cycle_is_that_of_torch():
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    steps = 101
    reference = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=steps, cycle_momentum=False)
    settings = replace(SETTINGS, schedule="one_cycle", learning_rate=0.5)
    # torch's rise ends at step 0.3 · steps - 1 of steps - 1.
    peak = (0.3 * steps - 1) / (steps - 1)
    for step in range(steps):
        done = step / (steps - 1)
        ours = 0.3 * done / peak if done <= peak else 0.3 + 0.7 * (done - peak) / (1 - peak)
        assert settings.learning_rate_at(ours) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        if step + 1 < steps:
            reference.step()


def test_the_schedule_reaches_the_steps():
    trainer = trainer_of(linear(), replace(SETTINGS, schedule="step"))
    rates = []
    for epoch in range(4):
        for _ in trainer.steps_of(epoch):
            rates.append(trainer.optimizer.param_groups[0]["lr"])
    steps = trainer.steps
    assert rates == pytest.approx([0.1] * 2 * steps + [0.01] * steps + [0.001] * steps)


def test_every_epoch_goes_through_all_training_images_in_an_order_of_its_own(monkeypatch):
    trainer = trainer_of(linear())
    seen: list[np.ndarray] = []
    prepared = trainer.task.prepared
    monkeypatch.setattr(trainer.task, "prepared", lambda images: seen.append(images) or prepared(images))
    orders = []
    for epoch in range(2):
        seen.clear()
        assert sum(images for images, _ in trainer.steps_of(epoch)) == 30
        assert {len(batch) for batch in seen} <= {7, 8}
        orders.append([image.tobytes() for batch in seen for image in batch])
    expected = sorted(image.tobytes() for image in trainer.task.images[trainer.task.train_set])
    assert [sorted(order) for order in orders] == [expected, expected]
    assert orders[0] != orders[1]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (train(everything_random(), stripes(120), seed=seed, shift=1, **GENTLE) for seed in (4, 4, 5))
    assert_same(first, again)
    assert not np.array_equal(first.weights["n5.weight"], other.weights["n5.weight"])


def test_a_step_gets_the_threads_that_it_is_worth(monkeypatch):
    import torch

    loop = import_module("millijoule.train.loop")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    used = []
    evaluate = Trainer.evaluate
    monkeypatch.setattr(Trainer, "evaluate", lambda self: used.append(torch.get_num_threads()) or evaluate(self))
    macs = loop.step_macs(linear(), choose("auto", len(stripes().x_train), 0, {}))
    for share in (macs + 1, macs // 2, 1):
        monkeypatch.setattr(loop, "THREAD_MACS", share)
        train(linear(), stripes(), epochs=1)
    assert used == [1, 2, 3]
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def test_training_leaves_the_random_state_of_torch_as_it_was():
    import torch

    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    train(everything_random(), stripes(), **GENTLE)
    assert torch.equal(torch.rand(3), expected)


def test_test_images_are_never_looked_at():
    dataset = stripes()
    other = replace(dataset, x_test=255 - dataset.x_test, y_test=1 - dataset.y_test)
    assert_same(train(linear(), dataset, **GENTLE), train(linear(), other, **GENTLE))


def test_the_best_epoch_is_kept(monkeypatch):
    states = []
    scores = iter([(0.2, 1.0), (0.9, 0.3), (0.9, 0.4), (0.5, 0.1)])

    def evaluate(trainer):
        states.append(trainer.weights())
        return next(scores)

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    model = train(linear(), stripes(), epochs=4)
    assert np.array_equal(model.weights["n1.weight"], states[1]["n1.weight"])
    assert not np.array_equal(states[1]["n1.weight"], states[3]["n1.weight"])


def test_the_last_epoch_is_kept_on_request(tmp_path, monkeypatch):
    """Where the first seems the best, as after `start`, a note says so."""
    scores = [(0.9, 0.3), (0.2, 1.0), (0.5, 0.1)]
    for keep in ("best", "last"):
        told = iter(scores)
        monkeypatch.setattr(Trainer, "evaluate", lambda _, told=told: next(told))
        model = train(linear(), stripes(), epochs=3, keep=keep, checkpoint=tmp_path / keep)
        state = np.load(tmp_path / keep / FILE)
        assert np.array_equal(model.weights["n1.weight"], state["weights/n1.weight"]) == (keep == "last")
        assert [note for note in model.notes if "the first was best on the held-out images" in note] == [
            "of 3 epochs the first was best on the held-out images, and is kept: if the weights that training began "
            "with have learnt these images already, take the last epoch (--keep last)"
        ] * (keep == "best")
    with pytest.raises(OptionError, match="patience waits for a better epoch"):
        train(linear(), stripes(), epochs=3, keep="last", patience=1)


@pytest.mark.parametrize(
    ("change", "epochs", "notes"),
    [
        (
            {"patience": 2},
            4,
            ("training ended after 4 of 6 epochs: none after epoch 2 was better, patience is 2",),
        ),
        (
            {"until": 0.85},
            2,
            ("training ended after 2 of 6 epochs: validation accuracy 0.9000 reaches until, 0.85",),
        ),
        ({"until": 0.95}, 6, ("validation accuracy has not reached until, 0.95: the best is 0.9000",)),
        ({"patience": 4}, 6, ()),
        ({}, 6, ()),
    ],
)
def test_training_stops_when_it_is_enough_and_says_so_and_a_resumed_one_too(
    tmp_path, monkeypatch, change, epochs, notes
):
    accuracies = [0.5, 0.9, 0.4, 0.3, 0.2, 0.1]
    seen = []

    def evaluate(trainer):
        seen.append(1)
        return accuracies[len(seen) - 1], 1.0

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    for _ in range(2):
        model = train(linear(), stripes(), epochs=6, checkpoint=tmp_path, **change)
        assert len(seen) == epochs
        assert model.notes == notes


def test_evaluation_is_of_the_held_out_images(monkeypatch):
    trainer = trainer_of(linear())
    assert (len(trainer.task.train_set), len(trainer.task.held_out)) == (30, 10)
    assert not set(trainer.task.train_set) & set(trainer.task.held_out)
    list(trainer.steps_of(0))
    share, loss = trainer.evaluate()
    model = replace(trainer.model, weights=trainer.weights())
    images, labels = trainer.task.images[trainer.task.held_out], trainer.task.labels[trainer.task.held_out]
    assert share == accuracy(model, images, labels)
    logits = prepare(images, (6, 6, 1), model.preprocess).reshape(-1, 36) @ model.weights["n1.weight"].T
    logits = logits + model.weights["n1.bias"]
    right = logits[np.arange(len(labels)), labels]
    assert loss == pytest.approx(float(np.mean(np.log(np.exp(logits).sum(axis=1)) - right)), rel=1e-4)


def test_it_learns_what_can_be_learnt():
    dataset = stripes(80)
    model = train(graph_of(Conv2d(channels=4, kernel=3, activation="relu"), Flatten(), Dense(features=2)), dataset)
    assert accuracy(model, dataset.x_test, dataset.y_test) == 1
    assert model.labels == dataset.classes


# Interruptions


def interrupt_in_epoch(monkeypatch, number: int) -> None:
    """Ctrl-C after the first step of epoch `number`, counted from 0."""
    steps_of = Trainer.steps_of

    def interrupted(trainer, epoch):
        steps = steps_of(trainer, epoch)
        yield next(steps)
        if epoch == number:
            raise KeyboardInterrupt
        yield from steps

    monkeypatch.setattr(Trainer, "steps_of", interrupted)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"nesterov": True, "average": 0.99, "flip": True, "mixup": 0.2, "cutout": 2, "colour": 0.2},
        {"optimizer": "adamw", "schedule": "one_cycle", "label_smoothing": 0.1, "clip": 0.5},
    ],
    ids=["sgd", "everything", "adamw"],
)
def test_a_resumed_training_ends_like_an_uninterrupted_one(tmp_path, monkeypatch, change):
    arguments = {"shift": 1, "seed": 2, **GENTLE, "epochs": 4, **change}
    whole = train(everything_random(), stripes(), **arguments)
    with monkeypatch.context() as patch:
        interrupt_in_epoch(patch, 2)
        with pytest.raises(MillijouleError, match=r"interrupted in epoch 3 of 4; '.*checkpoint\.npz' keeps") as error:
            train(everything_random(), stripes(), checkpoint=tmp_path, **arguments)
    assert error.value.exit_code == 2
    kept = load_checkpoint(tmp_path, everything_random())
    assert kept.labels == ("horizontal", "vertical")
    assert_same(train(everything_random(), stripes(), checkpoint=tmp_path, **arguments), whole)


def test_a_finished_training_is_not_repeated(tmp_path, monkeypatch):
    first = train(linear(), stripes(), checkpoint=tmp_path, **GENTLE)
    monkeypatch.setattr(Trainer, "steps_of", None)
    assert_same(train(linear(), stripes(), checkpoint=tmp_path, **GENTLE), first)


def test_interruptions_before_anything_is_kept(tmp_path, monkeypatch):
    interrupt_in_epoch(monkeypatch, 0)
    with pytest.raises(MillijouleError, match="in epoch 1 of 3; nothing is kept without a checkpoint folder"):
        train(linear(), stripes(), **GENTLE)
    with pytest.raises(MillijouleError, match="in epoch 1 of 3, before the first checkpoint"):
        train(linear(), stripes(), checkpoint=tmp_path, **GENTLE)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_checkpoint_of_the_epoch_before(tmp_path, monkeypatch):
    savez, calls = np.savez, []

    def savez_once(*arguments, **keywords):
        calls.append(1)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        savez(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", savez_once)
        words = r"epoch 2 of 3 cannot be kept \(No space left on device\); '.*' keeps the best so far .*: give the same"
        with pytest.raises(MillijouleError, match=words):
            train(linear(), stripes(), checkpoint=tmp_path, **GENTLE)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert_same(train(linear(), stripes(), checkpoint=tmp_path, **GENTLE), train(linear(), stripes(), **GENTLE))


# What cannot be trained


def test_a_loss_that_is_no_number_says_where_and_what_to_do():
    with pytest.raises(OptionError, match=r"the loss became (nan|inf) in epoch \d+, step \d+, at learning rate 1e\+30"):
        train(
            everything_random(), stripes(), epochs=2, learning_rate=1e30, schedule="constant", warm_up=0, batch_size=4
        )


def test_a_loss_that_is_no_number_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    evaluate = Trainer.evaluate

    def then_break(trainer):
        found = evaluate(trainer)
        trainer.arrays["n1.weight"].data.fill_(math.nan)
        return found

    monkeypatch.setattr(Trainer, "evaluate", then_break)
    with pytest.raises(OptionError, match=r"the loss became nan in epoch 2, step 1.*; '.*\.npz' keeps what was before"):
        train(linear(), stripes(), checkpoint=tmp_path, **GENTLE)
    model = load_checkpoint(tmp_path, linear())
    assert np.isfinite(model.weights["n1.bias"]).all()


def test_a_checkpoint_folder_that_is_a_file_is_told_before_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Trainer, "steps_of", None)
    with pytest.raises(OptionError, match=r"file' cannot be written \(Not a directory\): choose another --checkpoint"):
        train(linear(), stripes(), checkpoint=tmp_path / "file")


def test_a_network_that_says_the_same_to_all_has_not_learnt():
    dataset = stripes()
    blank = replace(dataset, x_train=np.zeros_like(dataset.x_train), x_test=np.zeros_like(dataset.x_test))
    with pytest.raises(OptionError, match=r"after 3 epochs network 'net' says .(horiz|vert)\w+. to every held-out"):
        train(linear(), blank, **GENTLE)


def test_networks_that_do_not_suit_the_data():
    with pytest.raises(ModelError, match=r"'net' has 3 outputs, data set 'stripes' has 2 classes"):
        train(linear(classes=3), stripes())
    with pytest.raises(ModelError, match="a classifier has one input and one flat output"):
        train(graph_of(Conv2d(channels=2, kernel=1)), stripes())


def test_batches_larger_than_the_data():
    with pytest.raises(OptionError, match="batch_size is 37, but there are 36 images to train on: choose 36 or less"):
        train(linear(), stripes(), batch_size=37)
    assert choose("sgd", 40, 6, {}).batch_size == 36


def test_batches_of_one_cannot_be_normalised():
    graph = graph_of(Flatten(), Dense(features=2), BatchNorm())
    with pytest.raises(OptionError, match=r"batches of 1 image .* batch_size is 1 for 36 training images"):
        train(graph, stripes(), batch_size=1)
    train(linear(), stripes(), batch_size=1, epochs=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be 1 or more"),
        ({"batch_size": 0}, "batch_size is 0; it must be 1 or more"),
        ({"learning_rate": -1}, "learning_rate is -1; it must be 1e-12 or more"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"momentum": 1}, "momentum is 1; it must be 0 or more, at most 0.999999"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"validation": 1}, "validation is 1; it must be 0 or more, at most 0.9"),
        ({"shift": -1}, "shift is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"schedule": "even"}, "schedule is 'even'; it must be one of cosine, linear, step, one_cycle, constant"),
        ({"optimizer": "rmsprop"}, "optimizer is 'rmsprop'; it must be one of sgd, adamw"),
        ({"label_smoothing": 1}, "label_smoothing is 1"),
        ({"average": 1}, "average is 1"),
        ({"until": 2}, "until is 2; it must be 0 or more, at most 1"),
        ({"nesterov": True, "momentum": 0}, "nesterov is a form of SGD's momentum"),
        ({"loss": "squared_error", "label_smoothing": 0.1}, "are for loss cross_entropy, not squared_error"),
        ({"weightdecay": 1}, "there is no setting 'weightdecay'; did you mean weight_decay? known are epochs, batch"),
        ({"recipe": "fast"}, "there is no recipe 'fast'; known are auto, sgd, airbench, airbench94, adamw"),
        ({"first_size": 0.1}, "first_size is 0.1; it must be 0.25 or more, at most 1"),
        ({"loss": "hinge"}, "loss is 'hinge'; it must be one of cross_entropy, squared_error"),
    ],
)
def test_settings_that_make_no_sense(change, message):
    with pytest.raises(OptionError, match=re.escape(message)):
        train(linear(), stripes(), **change)


def test_without_torch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ToolError, match=re.escape("pip install 'millijoule[train]'")):
        train(linear(), stripes())


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_can_be_overridden_setting_by_setting(recipe):
    plain = choose(recipe, 50_000, 32, {})
    assert plain.flip == (recipe != "auto")
    assert choose(recipe, 50_000, 32, {"epochs": 3, "shift": None}) == replace(plain, epochs=3)


def test_recipes_train():
    for recipe in RECIPES:
        # Its rate is for a batch of 512.
        rate = {"learning_rate": 0.75 * 16 / 512} if recipe == "airbench94" else {}
        model = train(everything_random(), stripes(200), recipe=recipe, epochs=15, batch_size=16, flip=False, **rate)
        assert accuracy(model, stripes(200).x_test, stripes(200).y_test) > 0.9, recipe


def test_defaults_go_through_small_sets_more_often():
    assert defaults(1_437)["epochs"] > defaults(60_000)["epochs"] == 10
