"""Group premium: from policy transactions to a day-by-day state, from that to charges, and what is not yet billed."""
