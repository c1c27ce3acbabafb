"""Who is billed: accounts, their numbers, holds and invoicing periods, and the set-up that ties policies to them."""
