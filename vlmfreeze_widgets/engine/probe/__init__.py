"""Real steps that prove something: that each part trains, which batch fits."""
