"""How large an installation must be: a simulation of its queue and workers by the rules that they have."""
