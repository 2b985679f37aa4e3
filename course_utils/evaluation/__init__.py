"""Average precision, recall of proposals, kinds of mistake, comparison."""
