"""The machine, the installation and the command line."""
