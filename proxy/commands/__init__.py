"""The commands of `cachewire`, one file each. What is heavy is imported when a command runs, so that help is quick."""
