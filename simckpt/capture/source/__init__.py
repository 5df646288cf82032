"""The code that runs: modules, packages, and the work trees they come from."""
