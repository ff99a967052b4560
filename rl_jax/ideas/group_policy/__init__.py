"""Group-relative and verifiable-reward policy optimisation."""
