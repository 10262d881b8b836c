"""Tests of the image and the compose file with a Docker engine of their own: `make test-containers`."""
