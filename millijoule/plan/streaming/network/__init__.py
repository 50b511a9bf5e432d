"""A network as a machine that streams sees it: rows and pixels, and the kernels that compute them."""
