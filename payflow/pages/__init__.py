"""The customer's pages that span apps: conversations, orders, and the words for their states."""
