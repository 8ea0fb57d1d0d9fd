"""Every test finds the modules with each other's functions at hand."""

import tests.loaded  # noqa: F401  (its work is done at import)
