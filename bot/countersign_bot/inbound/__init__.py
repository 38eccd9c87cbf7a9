"""In from Teams: who really sent this, and what it says."""
