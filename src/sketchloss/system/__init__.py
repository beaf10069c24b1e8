"""What everything else stands on: files, pictures, tensors, settings, the command line's parser."""
