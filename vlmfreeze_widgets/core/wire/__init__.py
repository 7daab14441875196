"""What the page is shown and what it asks for: one file per trait, named as its twin in js/src/wire."""
