"""`/api/service/`: what another backend of the same company calls, with a service token."""
