"""Commands that run one role of an installation on several machines. Each replaces its process by the role's."""
