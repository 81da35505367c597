"""Laws of data points: how clean tokens are drawn, and what is known of their posteriors."""
