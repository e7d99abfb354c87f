"""What `ulmfit.report` puts on its page: numbers, figures, texts, models, and the page itself."""
