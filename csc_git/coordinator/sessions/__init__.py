"""Sessions: which sessions are signed on in this clone and in other clones."""
