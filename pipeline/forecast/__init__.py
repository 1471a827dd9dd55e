"""What learning curves say of epochs that are still to come: one model of all trials of a study."""
