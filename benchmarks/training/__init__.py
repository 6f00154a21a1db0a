"""Training images: agreement with retraining, planted images, and the cost."""
