"""Who uses the admin listener: tokens, logins of browsers, and what keeps guesses and other pages out."""
