"""Sketch retrieval: heads on the arms' features that find sketches by sketch (Seo 2025, section 4.2, Table 3)."""
