"""From images to entities: contract, tiles, windows, thresholds."""
