"""What every training has in common."""
