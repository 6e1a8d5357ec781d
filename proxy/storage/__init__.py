"""Where stored responses live: memory, disk, and both as one Store."""
