"""Group premium: from policy transactions to a day-by-day state, from that to charges, and what is not yet billed.

Read in this order: `transactions` (what was asked), `timeline` (what holds on each day), `modal` (what an annual amount
comes to), `account_terms` (what the account decides), `charges` and `key_charge` (what a modal period costs, in bulk
and in full), `sequences` (whose share it is), `anyb` (what invoices still lack), `explanation` and `validation`.
"""
