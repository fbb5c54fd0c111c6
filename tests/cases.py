"""How many cases a law gets, by what a case costs, and the dtypes that all laws are put to."""

from hypothesis import settings

DTYPES = ("float32", "bfloat16", "float16", "float64")


def many(test):
    """For laws of integers: twenty-five times the cases of those that compile a program."""
    return settings(max_examples=25 * settings().max_examples)(test)


def few(test):
    """For laws that compile a dozen programs for each case: half as many cases."""
    return settings(max_examples=settings().max_examples // 2)(test)
