"""An exported configuration: its file, its network, and the forms that it is taken away in."""
