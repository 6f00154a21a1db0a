"""Random questions to random networks, against a slow replica of the definition, in float64."""
