"""Property tests try the same examples in every run of a shared check, and new ones at a developer's desk."""

import os

from hypothesis import settings

settings.register_profile("shared", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("shared")
