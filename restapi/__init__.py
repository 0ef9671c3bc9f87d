"""What the views of the API share: bodies, filters, refusals, their description. Imports no app."""
