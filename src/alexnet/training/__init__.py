"""The learner that makes a step, and the loop, schedule, checkpoints and watch around it."""
