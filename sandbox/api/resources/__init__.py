"""API routes, one module for each group of Stripe's resources."""
