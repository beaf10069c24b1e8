"""Prompt to sketch with the perceptual term of each arm (Seo 2025, section 4.1, Table 2 and Figure 3)."""
