"""Every network of ours against its origin, in the origin's own framework. See docs/PARITY.md."""
