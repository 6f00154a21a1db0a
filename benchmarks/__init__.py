"""What the documentation claims about speed, memory and accuracy, measured."""
