"""What a network is, read from the program it is traced to: its layers, its plan, its flaws.

Imports geometry, JAX and Flax; of jaxcnn's own operations and layers it knows nothing, so that it
reads any library's.
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
