"""The perceptual loss (Seo 2025), its distances, style transfer's loss, and how terms are weighed."""
