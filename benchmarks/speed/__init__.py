"""What each shortcut is worth in time, and what reading and predicting large scenes takes."""
