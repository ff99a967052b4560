"""From agents and seeds to compiled programs on devices."""
