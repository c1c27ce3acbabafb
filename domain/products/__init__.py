"""Master policies and the billing product under each of them."""
