"""The pages: thin routes that fill a record of `views` from the services and show it."""
