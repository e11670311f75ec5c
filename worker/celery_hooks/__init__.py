"""How mezcal extends Celery and Flower. docs/library-seams.md lists the private parts that this relies on."""
