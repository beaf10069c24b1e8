"""The built-in drawings: 35 kinds, painted by hand and by tool."""
