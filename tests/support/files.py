"""Contents of a trial's files."""


def holding(content):
    """Return what `TrialFiles.write` calls to fill a file with these bytes."""
    return lambda stream: stream.write(content)
