"""Reports: what a verb came to, as one HTML file that loads nothing. It takes plain data and knows no verb."""
