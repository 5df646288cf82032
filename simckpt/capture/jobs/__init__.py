"""What launchers and batch schedulers say of a job."""
