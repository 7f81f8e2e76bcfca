"""Where labelled JPEGs come from: TFRecords, a TFDS set, a folder; each as two `split.Split` values."""
