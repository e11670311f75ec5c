"""What the home page and the operator's page show."""
