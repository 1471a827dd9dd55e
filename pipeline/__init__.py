"""The search: Ray Tune executes, one Optuna study remembers and decides, MLflow shows."""
