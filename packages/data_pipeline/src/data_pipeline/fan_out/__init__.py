"""A run spread over pods: planned, submitted, worked off, observed. The lake alone says what is done."""
