"""The paper's experiments, each a folder: settings, computation, tables, figures; and a study of all."""
