"""How records become rows and rows become records: the same for every store that speaks SQL."""
