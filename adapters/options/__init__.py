"""What can be chosen of an adapter, free of torch."""
