"""One module for each kind of indicator: ``make`` sets it up."""
