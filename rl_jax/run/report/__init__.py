"""From rows to numbers, tables, plots and loggers."""
