"""What a network is, read from the program it is traced to: its layers, its plan, its flaws.

Imports geometry, JAX and Flax; of jaxcnn's own operations and layers it knows nothing, so that it
reads any library's.
"""

from jaxcnn.inspect.lint import Finding, Report, lint
from jaxcnn.inspect.network import Layer, Network
from jaxcnn.inspect.plan import plan_of
from jaxcnn.inspect.rules import RULES, Flaw, Rule
from jaxcnn.inspect.trace import trace

__all__ = [
    "RULES",
    "Finding",
    "Flaw",
    "Layer",
    "Network",
    "Report",
    "Rule",
    "lint",
    "plan_of",
    "trace",
]
