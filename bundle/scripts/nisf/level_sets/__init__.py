"""Where a class begins: surfaces and label maps with few evaluations."""
