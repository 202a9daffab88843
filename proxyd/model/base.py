"""What every entity of the configuration is made of: strict, frozen, with a help line per field."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from proxyd.model import units
from proxyd.model.grammar import Tag


class Entity(BaseModel):
    """A typed piece of configuration. Unknown keys are refused; values never change after load."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        str_strip_whitespace=False,
        hide_input_in_errors=True,  # an input may be a secret
        use_attribute_docstrings=True,
        populate_by_name=True,
    )


class Stored(Entity):
    """What all entities share."""

    id: str
    """Identity; derived from the entity's key (UUID version 5) where the file gives none."""
    tags: tuple[Tag, ...] = ()
    """Labels for selecting entities."""


Port = Annotated[int, Field(ge=0, le=65535)]
Milliseconds = Annotated[int, Field(ge=1, le=2**31 - 2)]
Seconds = Annotated[
    float, BeforeValidator(units.duration), WithJsonSchema({"type": ["number", "string"], "minimum": 0})
]
Bytes = Annotated[
    int, BeforeValidator(units.size), WithJsonSchema({"type": ["integer", "string"], "minimum": 0})
]
Switch = Annotated[
    bool, BeforeValidator(units.switch), WithJsonSchema({"type": ["boolean", "string", "integer"]})
]
