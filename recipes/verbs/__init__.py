"""One file a verb of the command line, and what they show on the terminal."""
