"""What quantisation does to a model's reliability: methods, bit widths and models, judged by `clipgate evaluate`."""
