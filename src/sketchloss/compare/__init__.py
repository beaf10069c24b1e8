"""How different two drawings look, or two folders of them."""
