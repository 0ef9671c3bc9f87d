"""HTML pages: the hosted payment page, the 3D Secure page and the control page."""
