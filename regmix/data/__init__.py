"""Data sets, one function per file: one part of a data set as arrays."""
