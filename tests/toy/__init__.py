"""A toy experiment, as a newcomer would add one."""
