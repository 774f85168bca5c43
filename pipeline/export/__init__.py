"""Model packs for other software: a MONAI bundle, and ONNX graphs with the loop that runs them."""
