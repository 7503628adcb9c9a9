"""The embeddings: `embed-signs`, `embed-text`, and the embedder that `align` may take."""

from typing import Any

import click

from seasign.models.signclip_embedder import check_tags
from seasign.types import InputError


class Tags(click.ParamType):  # type: ignore[type-arg]  # takes one from click 8.4 on, for the type checker alone
    """A written and a signed language: `en,bfi`."""

    name = "WRITTEN,SIGNED"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Both, by the names that models know."""
        if isinstance(value, tuple):
            return value
        try:
            return check_tags(*value.split(","))
        except (TypeError, InputError):
            self.fail(f"{value!r} is not a written and a signed language, such as en,bfi", param, ctx)


TAGS = click.option("--tags", type=Tags(), help="SignCLIP: the written and the signed language, such as en,bfi.")
