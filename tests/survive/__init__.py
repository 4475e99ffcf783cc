"What a research kit must survive: seeded trials that look for lost work, silence, raw errors, hangs and floods"
