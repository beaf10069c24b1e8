"""The paper's experiments, each a folder with its settings, what it computes, its tables and figures; and their study."""
