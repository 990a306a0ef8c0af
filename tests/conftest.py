"""Before any test imports numpy or torch: the same instruction set as in the stages."""

import mer  # noqa: F401
