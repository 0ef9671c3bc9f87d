"""Programs behind the make targets, and the tests' servers. The application imports none of it."""
