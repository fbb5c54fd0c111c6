"""The rules of :func:`jaxcnn.lint`, in files by what they look at; each can be switched off."""

from jaxcnn.inspect.rules import cost, fields, layout
from jaxcnn.inspect.rules.rule import Flaw, Option, Rule

__all__ = ["RULES", "Flaw", "Option", "Rule"]

RULES: tuple[Rule, ...] = (*layout.RULES, *fields.RULES, *cost.RULES)
