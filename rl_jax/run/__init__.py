"""What touches a person or a disk: commands, runs, metrics, plots, renderings. Nothing outside imports it."""
