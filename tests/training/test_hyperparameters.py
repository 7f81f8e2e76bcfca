"""The hyper-parameters of an optimizer are logged under MLPerf's keys."""

from collections.abc import Callable
from typing import Any

import keras
import pytest

from tfperf.training import hyperparameters
from tfperf.training.lamb import ReferenceAdam, ReferenceAdamW, ReferenceLamb
from tfperf.training.lars import ReferenceLars
from tfperf.training.momentum import ReferenceMomentum
from tfperf.training.schedules import (
    ConstantAfterWarmup,
    PolynomialDecayWithWarmup,
    SteppedDecayWithWarmup,
    WholeRunDecayWithWarmup,
)
from tfperf.training.sgd import ReferenceSgd

SCHEDULE = PolynomialDecayWithWarmup(2.0, warmup_steps=5, decay_steps=100, end_learning_rate=1e-4, power=2.0)
RATE = {"end_learning_rate": 1e-4, "learning_rate_decay_poly_power": 2.0, "learning_rate_decay_steps": 100}


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (
            lambda: keras.optimizers.SGD(0.1, momentum=0.9),
            {
                "opt_name": "sgd",
                "sgd_opt_base_learning_rate": 0.1,
                "sgd_opt_momentum": 0.9,
                "sgd_opt_weight_decay": 0.0,
            },
        ),
        (
            lambda: ReferenceSgd(SCHEDULE, momentum=0.9, l2=1e-4),
            {
                "opt_name": "sgd",
                "sgd_opt_base_learning_rate": 2.0,
                **{f"sgd_opt_{key}": value for key, value in RATE.items()},
                "sgd_opt_momentum": 0.9,
                "sgd_opt_weight_decay": 1e-4,
            },
        ),
        (
            lambda: ReferenceLars(SCHEDULE, momentum=0.9, weight_decay=2e-4, epsilon=0.0),
            {
                "opt_name": "lars",
                "lars_opt_base_learning_rate": 2.0,
                **{f"lars_opt_{key}": value for key, value in RATE.items()},
                "lars_opt_momentum": 0.9,
                "lars_opt_weight_decay": 2e-4,
                "lars_epsilon": 0.0,
            },
        ),
        (
            lambda: keras.optimizers.AdamW(1e-3, weight_decay=0.01, gradient_accumulation_steps=4),
            {
                "opt_name": "adamw",
                "opt_base_learning_rate": 1e-3,
                "opt_adamw_beta_1": 0.9,
                "opt_adamw_beta_2": 0.999,
                "opt_adamw_epsilon": 1e-7,
                "opt_adamw_weight_decay": 0.01,
                "gradient_accumulation_steps": 4,
            },
        ),
        (
            lambda: ReferenceLamb(
                WholeRunDecayWithWarmup(0.0015, training_steps=1141, warmup_steps=100, start_warmup_step=-76),
                epsilon=1e-6,
                weight_decay=0.01,
                clip_norm=1.0,
            ),
            {
                "opt_name": "lamb",
                "opt_base_learning_rate": 0.0015,
                "opt_lamb_beta_1": 0.9,
                "opt_lamb_beta_2": 0.999,
                "opt_lamb_epsilon": 1e-6,
                "opt_lamb_weight_decay_rate": 0.01,
                "opt_learning_rate_training_steps": 1141,
                "opt_learning_rate_warmup_steps": 100,
                "num_warmup_steps": 100,
                "start_warmup_step": -76,
                "opt_lamb_learning_rate_decay_poly_power": 1.0,
                "opt_gradient_clip_norm": 1.0,
            },
        ),
        (
            lambda: ReferenceAdamW(
                WholeRunDecayWithWarmup(3e-5, training_steps=600, warmup_steps=60), weight_decay=0.01
            ),
            {
                "opt_name": "adamw",
                "opt_base_learning_rate": 3e-5,
                "opt_adamw_beta_1": 0.9,
                "opt_adamw_beta_2": 0.999,
                "opt_adamw_epsilon": 1e-6,
                "opt_adamw_weight_decay": 0.01,
                "opt_learning_rate_training_steps": 600,
                "opt_learning_rate_warmup_steps": 60,
            },
        ),
        (
            lambda: keras.optimizers.Lamb(1e-3, weight_decay=0.01, global_clipnorm=1.0),
            {
                "opt_name": "lamb",
                "opt_base_learning_rate": 1e-3,
                "opt_lamb_beta_1": 0.9,
                "opt_lamb_beta_2": 0.999,
                "opt_lamb_epsilon": 1e-7,
                "opt_lamb_weight_decay_rate": 0.01,
                "opt_gradient_clip_norm": 1.0,
            },
        ),
        (
            lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.RMSprop(0.5)),
            {"opt_name": "rmsprop", "opt_base_learning_rate": 0.5, "opt_weight_decay": 0.0},
        ),
    ],
    ids=[
        "sgd",
        "sgd of the reference",
        "lars",
        "adamw of keras",
        "lamb",
        "adamw",
        "lamb of keras",
        "rmsprop with loss scale",
    ],
)
def test_reads_the_optimizer(build: Callable[[], keras.optimizers.Optimizer], expected: dict[str, Any]) -> None:
    optimizer = build()
    found = {"gradient_accumulation_steps": 1, **expected}
    assert {**hyperparameters.read(optimizer), **hyperparameters.accumulation(optimizer)} == found


def test_the_warm_up_is_counted_in_epochs_where_those_are_known() -> None:
    found = hyperparameters.read(ReferenceLars(SCHEDULE, momentum=0.9), steps_per_epoch=5)
    assert found["lars_opt_learning_rate_warmup_epochs"] == 1
    assert hyperparameters.read(ReferenceSgd(SCHEDULE), steps_per_epoch=2)["opt_learning_rate_warmup_epochs"] == 2.5


def test_the_schedules_of_detectors_are_logged_as_their_rules_ask() -> None:
    stepped = SteppedDecayWithWarmup(0.8, boundaries=(400, 505), warmup_steps=300, warmup_factor=1)
    assert hyperparameters.read(ReferenceMomentum(stepped, weight_decay=5e-4), steps_per_epoch=10) == {
        "opt_name": "sgd",
        "opt_base_learning_rate": 0.8,
        "opt_weight_decay": 5e-4,
        "opt_learning_rate_warmup_factor": 1,
        "opt_learning_rate_warmup_steps": 300,
        "opt_learning_rate_decay_boundary_epochs": [40, 50.5],
    }
    warmed = ConstantAfterWarmup(1e-4, warmup_steps=20, warmup_factor=1e-3)
    assert hyperparameters.read(ReferenceAdam(warmed, epsilon=1e-8), steps_per_epoch=10) == {
        "opt_name": "adam",
        "opt_base_learning_rate": 1e-4,
        "opt_adam_beta_1": 0.9,
        "opt_adam_beta_2": 0.999,
        "opt_adam_epsilon": 1e-8,
        "opt_weight_decay": 0.0,
        "opt_learning_rate_warmup_factor": 1e-3,
        "opt_learning_rate_warmup_epochs": 2,
    }
    assert "opt_learning_rate_decay_boundary_epochs" not in hyperparameters.read(ReferenceMomentum(stepped))


def test_without_an_optimizer_there_are_no_hyper_parameters() -> None:
    assert hyperparameters.read(None) == {}
    assert hyperparameters.accumulation(None) == {}
