"""Training of one configuration, epoch by epoch, with all that it remembers in between."""
