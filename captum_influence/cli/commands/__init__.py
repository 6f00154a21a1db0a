"""One file per subcommand, named like it."""
