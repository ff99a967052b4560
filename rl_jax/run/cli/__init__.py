"""The command line: options, help, and what each command does."""
