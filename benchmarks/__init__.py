"""What the documentation claims, measured; README.md says what measures what."""
