"""What training sees of an image: crops, augmentation, pasting, recolouring."""
