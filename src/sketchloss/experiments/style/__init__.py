"""Photo to sketch with the loss of each arm (Seo 2025, section 4.1, Table 1 and Figure 2)."""
