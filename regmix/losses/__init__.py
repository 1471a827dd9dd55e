"""Losses, one function per file: score the logits of the final, initial and clean point."""
