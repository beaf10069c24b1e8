"""Class separation: how far apart the arms keep the classes (Seo 2025, section 4.3, Table 4 and Figure 4)."""
