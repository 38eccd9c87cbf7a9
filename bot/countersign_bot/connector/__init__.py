"""Out to Teams: the one seam over the Bot Framework SDK, its faults covered."""
