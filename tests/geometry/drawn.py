"""Layouts of the sizes that networks have, possible or not."""

from hypothesis import strategies as st

sizes = st.integers(1, 300)
filters = st.integers(1, 12)
strides = st.integers(1, 7)
dilations = st.integers(1, 4)
pairs = st.tuples(st.integers(0, 12), st.integers(0, 12))
