"""The one path every job takes, from a job file to a recorded version."""
