"""How long questions take and how much memory, beside Captum, TruLens and other versions."""
