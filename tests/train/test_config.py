"""Settings: checked, stored, parsed, and each with its explanation."""

from dataclasses import fields, replace
from functools import partial

import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.errors import InputError
from jaxcnn.train.config import (
    OPTIMIZERS,
    RECIPES,
    SCHEDULES,
    SETTINGS,
    TrainConfig,
    parse_settings,
    recipe,
)

configs = st.builds(
    TrainConfig,
    epochs=st.integers(1, 2**31 - 1),
    batch_size=st.integers(1, 10**6),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    schedule=st.sampled_from(SCHEDULES),
    learning_rate=st.none() | st.floats(0, 1e3),
    clip=st.none() | st.floats(1e-6, 1e6),
    patience=st.none() | st.integers(1, 100),
    augment=st.sampled_from([(), ("shift:2",), ("flip", "rotate:15")]),
    image_size=st.none() | st.tuples(st.integers(1, 999), st.integers(1, 999)),
    mesh=st.none() | st.just("data=2"),
)


@given(configs)
def test_settings_read_from_their_json_are_equal(config):
    assert TrainConfig.from_json(config.to_json()) == config


@given(configs)
def test_settings_parsed_from_their_texts_are_equal(config):
    def text(value):
        if value is None:
            return "none"
        if isinstance(value, tuple):
            return ("x" if value and isinstance(value[0], int) else " ").join(map(str, value))
        return str(value)

    texts = {each.name: text(getattr(config, each.name)) for each in fields(config)}
    assert TrainConfig(**parse_settings(texts)) == config


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_every_setting_is_explained_in_a_line_and_accepts_its_default(name):
    setting = SETTINGS[name]
    assert setting.help.endswith(".")
    assert "\n" not in setting.help
    default = getattr(TrainConfig(), name)
    assert default is None or setting.check(name, default) == default


WRONG = {
    "epochs": (0, "two", 1.5, 2**31),
    "batch_size": (0, None),
    "accumulate": (0, 3),  # 3 does not divide 128
    "optimizer": ("adam2", 1, optax.sgd(0.1)),
    "learning_rate": (-1.0, float("nan"), float("inf"), "fast", True),
    "momentum": (1.0,),
    "weight_decay": (-0.1,),
    "schedule": ("zigzag",),
    "warmup": (1.0,),
    "clip": (0.0, -1.0),
    "label_smoothing": (1.0, -0.1),
    "ema": (1.0,),
    "dtype": ("float64",),
    "augment": ("shift:2", ("shift",), ("shift:-1",), (3,)),
    "test_augment": (("mixup",),),
    "patience": (0,),
    "seed": (-1, 2**31),
    "image_size": (3, (0, 4), (1, 2, 3)),
    "resize": ("squash",),
    "channels": (0, 5),
    "validation_share": (1.0, 0.0),
    "test_share": (-0.5, 0.0),
    "mesh": ("", 4),
    "memory": (-1.0,),
    "workers": (-1,),
    "save_minutes": (-1.0,),
    "save_steps": (0,),
    "model": (3, ""),
    "weights": (3, ""),
}


def test_there_is_a_wrong_value_for_every_setting():
    assert set(WRONG) == set(SETTINGS)


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values])
def test_a_value_out_of_range_is_refused_by_the_name_of_its_setting(name, value):
    with pytest.raises((InputError, TypeError), match=name.split("_")[-1]):
        replace(TrainConfig(), **{name: value})


@pytest.mark.parametrize("text", ["", "[]", '{"epochs": 3}', "{not json", '{"what": 1}'])
def test_a_text_without_settings_is_refused(text):
    with pytest.raises(InputError, match=r"settings|lacks|unknown"):
        TrainConfig.from_json(text)


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("epochs", "ten", "an integer, got 'ten'"),
        ("image_size", "axb", "a size such as 64x64, got 'axb'"),
        ("image_size", "1x2x3", r"\(height, width\)"),
        ("ema", "x", "a number, got 'x'"),
        ("mesh", "", "a text"),
        ("clip", "0", "above 0 and finite, got 0"),
        ("test_share", "0", "above 0 and below 1, got 0"),
    ],
)
def test_a_text_that_is_no_value_is_refused_in_the_words_of_the_caller(name, text, kind):
    with pytest.raises(InputError, match=f"^{name} must be {kind}"):
        parse_settings({name: text})
    with pytest.raises(InputError, match=f"^the option {name} must be {kind}"):
        parse_settings({name: text}, "the option {}".format)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("lr", "learning_rate"),
        ("max_epochs", "epochs"),
        ("bs", "batch_size"),
        ("wd", "weight_decay"),
        ("optimiser", "optimizer"),
        ("num_workers", "workers"),
    ],
)
def test_another_word_for_a_setting_is_answered_with_its_name(word, name):
    for make in (TrainConfig, partial(replace, TrainConfig())):
        with pytest.raises(TypeError, match=f"has no argument {word}; use {name}$"):
            make(**{word: 1})


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_is_a_configuration_that_differs_from_the_defaults_as_it_says(name):
    _, changes = RECIPES[name]
    assert recipe(name) == replace(TrainConfig(), **changes)
