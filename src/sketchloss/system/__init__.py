"""Basics that all other rooms use: files, pictures, tensors, settings, the command line's parser."""
