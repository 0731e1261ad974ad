"""What the parts that a domain brings are worth: each fitted with and without, the rest being equal."""
