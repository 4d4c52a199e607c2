"""A slow, plain engine: every instance is decided again from all of its rows after every row. See docs/engine-semantics.md."""
