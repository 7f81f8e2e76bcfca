"""TFRecord files, whatever their records hold: where a record is, how many there are, and what is damaged."""
