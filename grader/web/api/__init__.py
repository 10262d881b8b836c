"""REST: /api/v1, the health of the service, its metrics. Callers carry a bearer token; errors are problem documents."""
