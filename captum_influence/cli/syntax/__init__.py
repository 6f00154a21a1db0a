"""What each subcommand is called, takes and says in its help; nothing here loads torch."""
