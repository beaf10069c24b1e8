"""The networks that look at drawings: what a backbone is, the kinds there are, their weights, and the paper's arms."""
