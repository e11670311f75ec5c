"""Commands that become one role of an installation."""
