"""Attacks in training, one function per file: from a starting perturbation to a worse one."""
