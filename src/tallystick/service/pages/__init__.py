"""The payer's two pages: static files with strict headers, and the JSON they speak."""
