"""What happens to money: payments, checkout, refunds and disputes, with the events of each."""
