"""Toolchains, emulators and meters."""
