"""Models, one function per file: images in [0, 1] to logits."""
