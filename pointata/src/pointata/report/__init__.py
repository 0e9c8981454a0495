"""Parts of an HTML report: page, charts, pictures and tables."""
