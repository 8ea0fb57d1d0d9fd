"""Every test gets the modules with each other's functions loaded."""

import tests.loaded  # noqa: F401  (its work is done at import)
