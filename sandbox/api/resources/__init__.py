"""The routes of each of Stripe's resources."""
