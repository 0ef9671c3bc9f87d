"""How events leave: what is announced, how it is signed, sent, repeated, and made to misbehave."""
