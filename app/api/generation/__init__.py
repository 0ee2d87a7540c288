"""What the routes that generate text have in common, whatever their dialect."""
