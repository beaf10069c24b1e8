"""Pictures with prompts: by class, or by captions that lie beside them."""
