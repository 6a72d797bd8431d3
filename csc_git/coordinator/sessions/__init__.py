"""Sessions: who is signed on, here and in other clones."""
