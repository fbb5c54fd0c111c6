"""Reads the layers, the plan and the flaws of any model from the program that JAX traces.

This package imports geometry, JAX and Flax, but none of jaxcnn's operations and layers: it reads
models of every library in the same way. ``trace`` returns the layers, ``plan_of`` a table of them,
and ``lint`` the findings of the rules in :mod:`jaxcnn.inspect.rules`.
"""

from jaxcnn.inspect.baseline import read_baseline, write_baseline
from jaxcnn.inspect.lint import Finding, Report, lint
from jaxcnn.inspect.network import Layer, Network
from jaxcnn.inspect.plan import Plan, PlanRow, plan_of
from jaxcnn.inspect.rules import RULES, Flaw, Option, Rule
from jaxcnn.inspect.trace import trace

__all__ = [
    "RULES",
    "Finding",
    "Flaw",
    "Layer",
    "Network",
    "Option",
    "Plan",
    "PlanRow",
    "Report",
    "Rule",
    "lint",
    "plan_of",
    "read_baseline",
    "trace",
    "write_baseline",
]
