"""Networks whose layouts of one size are trained to judge scores (docs/evidence.md)."""
