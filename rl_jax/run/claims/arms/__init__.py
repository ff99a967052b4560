"""Arms of a comparison that train: one trainer, or phases of them, over seeds."""
