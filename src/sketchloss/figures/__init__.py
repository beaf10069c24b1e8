"""What pictures, tables and pages of several experiments share."""
