"""The rules of :func:`jaxcnn.lint`, in files by subject.

To add a rule:

1. Write a function from a :class:`~jaxcnn.inspect.Network` to :class:`Flaw` objects, in the file
   of its subject or in a new file, to be listed in ``_FILES`` below. Use the next free code. The
   docstring is the reason why the flaw matters, with a paper or vendor document::

       from jaxcnn.inspect.rules.rule import Flaw, rule

       @rule("JC012", "name in a few words", example="a layer with the flaw, and without it")
       def name_of_the_flaw(network: Network) -> Iterable[Flaw]:
           \"""Why it matters. Author et al., arXiv:0000.00000.\"""
           for layer in network.layers:
               if layer.kind == "conv" and layer.groups > 4:
                   yield Flaw(layer, "what is wrong, with numbers", "what to change")

   :class:`~jaxcnn.inspect.Layer` lists the attributes of a layer. A rule that checks one axis at a
   time returns ``flaws_by_axis(network, kinds, check)``, like the rules in ``windows``.
2. Add an entry to ``CASES`` in ``tests/inspect/test_lint.py``: a model with the flaw, the same
   model without it, an input shape, and words that the finding must contain.

Nothing else is needed: ``lint``, ``--select``, ``--ignore`` and ``--list-rules`` find the rule.
"""

from jaxcnn.inspect.rules import cost, receptive_fields, transposed, windows
from jaxcnn.inspect.rules.rule import Flaw, Option, Rule, rule

__all__ = ["RULES", "Flaw", "Option", "Rule", "rule"]

_FILES = (windows, transposed, receptive_fields, cost)

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (each for file in _FILES for each in vars(file).values() if isinstance(each, Rule)),
        key=lambda each: each.code,
    )
)
