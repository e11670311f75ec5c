"""The core of mezcal: recipes, origin, conversion, store and jobs, without web framework or task runner."""
