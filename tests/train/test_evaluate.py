"""Predictions for whole splits: every image once, whatever the batches."""

from dataclasses import replace

import numpy as np
import pytest

from jaxcnn.data import Images
from jaxcnn.testing.tolerance import gamma
from jaxcnn.train import evaluate as evaluation
from jaxcnn.train.evaluate import evaluate, log_probabilities
from tests.train.small import CONFIG, SHAPE, small_data, small_trainer


class Reader:
    """Images that are read on demand."""

    def __init__(self, images):
        self.images, self.shape = images, images.shape

    def read(self, indices):
        return self.images[indices]


@pytest.fixture(scope="module")
def trained():
    trainer = small_trainer()
    return trainer, trainer.evaluated(trainer.init())


@pytest.mark.parametrize("count", [1, 31, 32, 33, 90])
@pytest.mark.parametrize("on_disk", [False, True])
def test_every_image_is_predicted_by_itself(trained, monkeypatch, count, on_disk):
    monkeypatch.setattr(evaluation, "CELLS", 1)  # batches of 32, the training step's
    trainer, variables = trained
    images, labels = small_data(150).train.images[:count], small_data(150).train.labels[:count]
    split = Images(Reader(images) if on_disk else images, labels)
    found = log_probabilities(trainer, variables, split)
    wanted = np.concatenate([trainer.predict(*variables, images[i : i + 1]) for i in range(count)])
    terms = int(np.prod(SHAPE)) * 9
    np.testing.assert_allclose(found, wanted, atol=20 * gamma(terms, "float32"))


def test_probabilities_sum_to_one(trained):
    found = evaluate(*trained, small_data().test).probabilities
    np.testing.assert_allclose(found.sum(-1), 1, atol=10 * gamma(4, "float32"))


def test_the_averaged_weights_predict_if_there_are_any():
    trainer = small_trainer(replace(CONFIG, ema=0.5))
    state = trainer.init()
    assert trainer.evaluated(state) is state.average
    assert small_trainer().evaluated(state) == (state.params, state.rest)
