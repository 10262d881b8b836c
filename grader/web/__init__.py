"""The service that people see: pages, REST and what they share."""
