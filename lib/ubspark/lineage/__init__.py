"""What is remembered of a run, in commits and in MLflow."""
