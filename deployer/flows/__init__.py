"""The projects under `flows/`: their environments, what their flows are, and the releases packed from them."""
