"""The fence is a closed list: what is not on it does not pass."""

from dataclasses import replace

import pytest

from jaxcnn.convolve import fence
from jaxcnn.convolve.algorithms import onednn
from jaxcnn.convolve.problem import Problem

SKYLAKE = "fpu avx avx2 fma avx512f avx512bw avx512cd avx512dq avx512vl"
COOPER_LAKE = f"{SKYLAKE} avx512_vnni avx512_bf16"
SAPPHIRE_RAPIDS = f"{COOPER_LAKE} avx512_fp16 amx_bf16 amx_tile amx_int8"

PLAIN = Problem(2, (8, 8), 4, (3, 3), 4)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A Linux machine with a processor and a jaxlib of our choice, and no verdict of its own."""
    caches = (
        fence.machine_lacks,
        fence.processor_features,
        fence.verified,
        fence.verified_here,
    )

    def make(flags=COOPER_LAKE, limit=None, jaxlib="9.9.9", system="Linux"):
        info = tmp_path / "cpuinfo"
        info.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: none\n")
        monkeypatch.setattr(fence, "CPUINFO", info)
        listed = tmp_path / "verified.json"
        listed.write_text(
            '[{"jaxlib": "9.9.9", "failures": [], "isa": {"float32": "avx512_core",'
            ' "bfloat16": "avx512_core_bf16"}},'
            ' {"jaxlib": "9.9.9", "failures": [], "isa": {"float32": "avx2"}},'
            ' {"jaxlib": "9.9.8", "failures": ["died"], "isa": {"float32": "avx512_core"}}]'
        )
        monkeypatch.setattr(fence, "LIST", listed)
        monkeypatch.setattr(fence, "version", lambda name: jaxlib)
        monkeypatch.setattr(fence.platform, "system", lambda: system)
        monkeypatch.setattr(fence.platform, "machine", lambda: "x86_64")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.delenv(fence.SWITCH, raising=False)
        for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
            monkeypatch.delenv(name, raising=False)
        if limit:
            monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
        for function in caches:
            function.cache_clear()

    yield make
    monkeypatch.undo()
    for function in caches:
        function.cache_clear()


def _bf16(problem):
    return replace(problem, dtype="bfloat16", out_dtype="bfloat16")


def test_a_verified_jaxlib_on_a_processor_that_has_all_is_open(machine):
    machine()
    assert fence.closed_because() is None
    assert fence.refuses(PLAIN) is None
    assert fence.refuses(_bf16(PLAIN)) is None
    assert fence.refuses_product(PLAIN) is None


def test_the_environment_closes_it(machine, monkeypatch):
    machine()
    monkeypatch.setenv("JAXCNN_ONEDNN", "0")
    assert fence.refuses(PLAIN) == fence.refuses_product(PLAIN) == "closed by JAXCNN_ONEDNN=0"


def test_the_switch_closes_it_for_as_long_as_it_is_held(machine):
    machine()
    with fence.onednn_closed():
        with fence.onednn_closed():
            pass
        assert fence.refuses(PLAIN) == "closed by onednn_closed()"
    assert fence.refuses(PLAIN) is None


@pytest.mark.parametrize("jaxlib", ["9.9.7", "9.9.8", "9.9.10"])
def test_a_jaxlib_that_is_not_listed_or_failed_is_closed_with_what_to_type(machine, jaxlib):
    machine(jaxlib=jaxlib)
    assert fence.closed_because() == (
        f"jaxlib {jaxlib} is not verified; run `jaxcnn doctor --verify`"
    )
    assert fence.refuses(PLAIN)


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_another_platform_is_closed(machine, system):
    machine(system=system)
    assert system in fence.closed_because()


@pytest.mark.parametrize(
    ("flags", "limit", "float32", "bfloat16"),
    [
        ("fpu sse4_1 avx", None, "", ""),
        ("fpu avx avx2 fma", None, "avx2", ""),
        (SKYLAKE, None, "avx512_core", ""),
        (COOPER_LAKE, None, "avx512_core", "avx512_core_bf16"),
        (SAPPHIRE_RAPIDS, None, "avx512_core", "avx512_core_amx"),
        (SAPPHIRE_RAPIDS, "AVX512_CORE_FP16", "avx512_core", "avx512_core_bf16"),
        (SAPPHIRE_RAPIDS, "avx512_core_bf16", "avx512_core", "avx512_core_bf16"),
        (SAPPHIRE_RAPIDS, "AVX512_CORE", "avx512_core", ""),
        (SAPPHIRE_RAPIDS, "AVX2", "avx2", ""),
        (SAPPHIRE_RAPIDS, "AVX", "", ""),
        (SAPPHIRE_RAPIDS, "nonsense", "avx512_core", "avx512_core_amx"),
        ("", None, "", ""),
    ],
)
def test_the_processor_says_what_oneDNN_computes_with(machine, flags, limit, float32, bfloat16):
    machine(flags, limit)
    assert fence.instruction_set("float32") == float32
    assert fence.instruction_set("bfloat16") == bfloat16
    assert fence.dtypes() == tuple(
        name for name, isa in (("float32", float32), ("bfloat16", bfloat16)) if isa
    )
    listed = {"avx2", "avx512_core"}
    assert (fence.refuses(PLAIN) is None) == (float32 in listed)
    assert (fence.refuses(_bf16(PLAIN)) is None) == (bfloat16 == "avx512_core_bf16")


def test_products_below_avx512_are_closed(machine):
    machine("fpu avx avx2 fma")
    assert fence.refuses(PLAIN) is None
    assert "products" in fence.refuses_product(PLAIN)


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64", "int8"])
def test_other_dtypes_are_closed(machine, dtype):
    machine(SAPPHIRE_RAPIDS)
    assert dtype in fence.refuses(replace(PLAIN, dtype=dtype, out_dtype=dtype))


@pytest.mark.parametrize(
    "problem",
    [
        Problem(1, (8, 8, 8, 8), 4, (3, 3, 3, 3), 4),
        Problem(8, (8, 8), 4, (8, 8), 4),
        Problem(1, (24,), 32, (37,), 32, groups=32, padding=((3, 17),)),
        Problem(1, (4, 4), 32, (7, 6), 32, 32, (2, 2), ((6, 6), (5, 5)), dilation=(2, 2)),
        Problem(4, (223,), 8, (15,), 8, groups=8, padding=((21, 21),), dilation=(3,)),
        Problem(8, (194,), 64, (15,), 64, 16, (2,), ((11, 32),), dilation=(3,)),
        Problem(1, (286,), 24, (283,), 24, groups=24),
        Problem(3, (1, 1, 1), 16, (5, 5, 2), 48, 16, (4,) * 3, ((2, 2), (2, 2), (0, 1))),
        Problem(1, (21, 21), 2, (1, 7), 2, 2, (4, 4), ((0, 0), (7, 8)), dilation=(2, 2)),
        Problem(1, (14,) * 3, 64, (5,) * 3, 64, 64, (3,) * 3, ((6, 5),) * 3, dilation=(3,) * 3),
        Problem(8, (8, 8), 16, (3, 3), 16, 2, (1, 4), ((3, 3),) * 2, dilation=(3, 3)),
        Problem(16, (43, 2), 1, (3, 3), 96, stride=(1, 2), padding=((1, 1),) * 2),
        Problem(1, (300, 300), 1, (270, 270), 1),
    ],
    ids=str,
)
def test_shapes_that_were_seen_to_harm_are_closed(machine, problem):
    machine()
    assert fence.refuses(problem)
    assert fence.refuses(_bf16(problem))


def test_depthwise_on_one_axis_needs_avx512(machine):
    problem = Problem(2, (76,), 96, (6,), 96, groups=96)
    machine()
    assert fence.refuses(problem) is None
    machine("fpu avx avx2 fma")
    assert "AVX-512" in fence.refuses(problem)


@pytest.mark.parametrize("axes", [1, 2])
def test_wide_depthwise_filters_of_bfloat16_are_closed(machine, axes):
    """Their kernels are never compiled to the end; with few outputs, as in gradients, they are."""
    machine()
    rows = ((9, 3),)[: axes - 1]
    for columns, outputs, passes in (
        (15, 32, False),
        (63, 220, False),
        (14, 256, True),
        (56, 3, True),
    ):
        size, taps = zip(*rows, (outputs + columns - 1, columns), strict=True)
        problem = Problem(1, size, 16, taps, 16, groups=16)
        assert fence.refuses(problem) is None
        assert (fence.refuses(_bf16(problem)) is None) == passes


@pytest.mark.parametrize(
    "problem",
    [
        Problem(1, (37, 37), 48, (9, 16), 48, 4, (3, 3), ((5, 0), (14, 0))),
        Problem(3, (55, 55), 1, (55, 55), 16, 1, (3, 3), ((12, 12),) * 2),
    ],
    ids=str,
)
def test_wide_filters_that_fell_back_in_bfloat16_are_closed(machine, problem):
    machine()
    assert fence.refuses(problem) is None
    assert fence.refuses(_bf16(problem))


def test_channels_first_is_for_float32_on_avx512(machine):
    machine()
    assert fence.takes_channels_first("float32")
    assert not fence.takes_channels_first("bfloat16")
    machine("fpu avx avx2 fma")
    assert not fence.takes_channels_first("float32")


@pytest.mark.parametrize(
    "problem",
    [
        Problem(16, (43, 2), 1, (3, 3), 96, stride=(1, 2), padding=((1, 1),) * 2),
        Problem(16, (25, 25), 1, (25, 25), 3, stride=(1, 2), padding=((1, 1), (0, 0))),
        Problem(3, (1, 1, 1), 16, (5, 5, 2), 48, 16, (4,) * 3, ((2, 2), (2, 2), (0, 1))),
        Problem(8, (56, 56), 128, (3, 3), 128, 32, padding=((1, 1), (1, 1))).exchanged(),
        Problem(2, (5, 5), 4, (3, 3), 4, padding=((3, 3), (0, 0))),
        Problem(2, (1, 4, 7), 1, (3, 3, 3), 2, padding=((1, 1),) * 3, dtype="bfloat16"),
    ],
    ids=str,
)
def test_what_harms_is_put_otherwise(machine, problem):
    """The same problem, with its padding laid beforehand and strides that mean nothing left out."""
    machine()
    put = onednn.asked(problem)
    assert put != problem
    assert fence.refuses(put) is None
    assert put.output == problem.output


@pytest.mark.parametrize(
    "problem",
    [
        Problem(8, (56, 56), 64, (3, 3), 64, padding=((1, 1), (1, 1))),
        Problem(8, (224, 224), 3, (7, 7), 64, stride=(2, 2), padding=((3, 2), (3, 2))),
        Problem(8, (56, 56), 256, (1, 1), 64),
        Problem(8, (14, 14), 576, (3, 3), 576, 576, padding=((1, 1), (1, 1))),
        Problem(8, (56, 56), 96, (7, 7), 96, 96, padding=((3, 3), (3, 3))),
        Problem(8, (56, 56), 128, (3, 3), 128, 32, padding=((1, 1), (1, 1))),
        Problem(2, (16, 16, 16), 32, (3, 3, 3), 64, padding=((1, 1),) * 3),
        Problem(8, (1000,), 64, (9,), 64, padding=((4, 4),)),
        Problem(8, (56, 56), 128, (3, 3), 128, stride=(2, 2), padding=((0, 1),) * 2).exchanged(),
        Problem(8, (56, 56), 64, (3, 3), 64, padding=((1, 1),) * 2).exchanged(),
        Problem(1, (56, 56), 96, (3, 3), 96, 96, padding=((1, 1),) * 2).exchanged(),
    ],
    ids=str,
)
def test_the_common_classes_pass(machine, problem):
    machine()
    assert fence.refuses(problem) is None
    assert fence.refuses(_bf16(problem)) is None
