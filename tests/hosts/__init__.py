"""Several hosts, as network namespaces: `make test-hosts`."""
