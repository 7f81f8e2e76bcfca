"""BERT: masked-LM pre-training, and question answering on SQuAD."""
