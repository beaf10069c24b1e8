"""Pairs with a right answer: a small U-Net learns from input to drawing with each loss, and judges compare them."""
