"""OKX trading accounts of every level: what they hold, how near liquidation is, and how margin is moved to them."""
