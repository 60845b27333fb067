"""The client side: seal, sign and send parts."""
