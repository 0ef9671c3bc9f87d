"""State changes of Checkout Sessions, payments, refunds and disputes, with their events."""
