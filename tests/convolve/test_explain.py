"""Explanations show the chosen algorithm for every direction."""

import jax
import jax.numpy as jnp
import pytest
from typer.testing import CliRunner

import jaxcnn
from jaxcnn.cli import main
from jaxcnn.cli.commands import app
from jaxcnn.convolve import ALGORITHMS, Problem, onednn_closed
from jaxcnn.convolve.choose import choose
from jaxcnn.convolve.explain import explain_problem

PROBLEM = Problem(2, (12, 12), 16, (3, 3), 32, stride=(2, 2), padding=((1, 0), (1, 0)))


def test_each_direction_is_explained_with_the_algorithm_that_is_chosen():
    found = explain_problem(PROBLEM)
    wanted = (PROBLEM, PROBLEM.input_gradient(), PROBLEM.kernel_gradient())
    for direction, problem in zip(found.directions, wanted, strict=True):
        assert direction.problem == problem
        assert direction.chosen == choose(problem)
        assert set(direction.costs) == set(ALGORITHMS)
        first, *_ = direction.lines()
        assert first[0] == direction.chosen
        assert f"* {direction.chosen}" in str(direction)


def test_convolutions_of_jaxcnn_and_lax_inside_programs_are_found():
    x, kernel = jnp.ones((1, 8, 8, 4)), jnp.ones((3, 3, 4, 4))

    def ours(x):
        return jaxcnn.conv(x, kernel, padding=1)

    def network(x):
        y = jax.lax.scan(lambda y, _: (jax.checkpoint(ours)(y), None), x, length=2)[0]
        return jax.lax.conv(y, jnp.ones((2, 8, 1, 1)), (1, 1), "VALID")

    assert len(jaxcnn.explain(network, x).directions) == 6
    with pytest.raises(ValueError, match="no convolution"):
        jaxcnn.explain(jnp.sin, x)


def test_the_explain_command_prints_every_direction():
    asked = ["explain", "2x12x12x16", "-k", "3x3", "-c", "32", "-p", "1"]
    answer = CliRunner().invoke(app, asked)
    assert answer.exit_code == 0
    assert "kernel gradient: " in answer.output
    plain = CliRunner().invoke(app, [*asked, "--plain"])
    assert "onednn_closed()" in plain.output
    with onednn_closed():
        assert "closed by" in CliRunner().invoke(app, asked).output


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["12x12"], "8x56x56x64"),
        (["2x12x16"], "spatial axes"),
        (["2x12x12x16", "-g", "3"], "does not divide"),
        (["2x12x12x16", "--dtype", "int8"], "--dtype"),
        (["2x2x2x16"], "kernel_size"),
    ],
)
def test_a_mistake_in_the_explain_command_is_one_line_and_exit_code_2(
    monkeypatch, capsys, change, says
):
    monkeypatch.setattr("sys.argv", ["jaxcnn", "explain", *change, "-k", "3x3", "-c", "32"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    captured = capsys.readouterr().err
    assert says in captured
    assert captured.count("\n") == 1
