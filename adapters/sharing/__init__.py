"""An adapter as a folder and as a package: written, described, checked at the door."""
