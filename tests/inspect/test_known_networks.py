"""lint finds the known flaws of famous networks."""

import pytest

from jaxcnn.inspect import lint
from tests.inspect.known import networks


@pytest.fixture(scope="module")
def resnet():
    return lint(networks.shapes_of(networks.ResNet18), (224, 224, 3))


def messages(report, code, layer):
    """The messages of a rule for the layers whose name begins with ``layer``."""
    return [
        finding.message
        for finding in report.findings
        if finding.code == code and finding.layer.startswith(layer)
    ]


@pytest.mark.parametrize(
    ("layer", "formula"),
    [
        ("stem", "(224 + 3 + 3 - 7)/2 + 1 = 112.5 outputs, cut to 112"),
        ("max_pool1", "(112 + 1 + 1 - 3)/2 + 1 = 56.5 outputs, cut to 56"),
        ("blocks.2.conv1", "(56 + 1 + 1 - 3)/2 + 1 = 28.5 outputs, cut to 28"),
        ("blocks.6.conv1", "(14 + 1 + 1 - 3)/2 + 1 = 7.5 outputs, cut to 7"),
    ],
)
def test_resnets_strided_layers_drop_a_row_and_pad_unevenly(resnet, layer, formula):
    (dropped,) = messages(resnet, "JC001", layer)
    assert formula in dropped
    (uneven,) = messages(resnet, "JC003", layer)
    assert "shifted by 0.5 cells towards the start" in uneven


def test_resnets_shortcuts_never_read_three_quarters_of_the_cells(resnet):
    for block, size in ((2, 56), (4, 28), (6, 14)):
        (skipped,) = messages(resnet, "JC002", f"blocks.{block}.shortcut")
        read, total = (size // 2) ** 2, size**2
        assert f"reads {read:,} of {size}x{size} = {total:,} cells" in skipped
        assert "never the other 75%" in skipped


def test_resnet_has_its_known_flaws_and_no_others(resnet):
    found = {finding.code for finding in resnet.findings}
    assert found == {"JC001", "JC002", "JC003", "JC008", "JC011"}


def test_dcgans_kernels_of_5_at_stride_2_make_checkerboards_and_kernels_of_4_do_not():
    def report(kernel_size):
        return lint(networks.shapes_of(networks.Generator, 100, kernel_size=kernel_size), (100,))

    for layer in range(4):
        (checkered,) = messages(report(5), "JC004", f"grow.{layer}")
        assert "kernel 5 is not a multiple of stride 2" in checkered
        assert "sums of 2 and 3 products" in checkered
    assert not messages(report(4), "JC004", "")
    for layer in range(3):
        assert messages(report(4), "JC009", f"grow.{layer}")
    assert not messages(report(4), "JC009", "grow.3")
