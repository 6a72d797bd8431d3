"""Claims: which resources the sessions have claimed, and how sessions claim and release them."""
