"""The OpenAPI document of the admin application: made of its routes, their roles, and the classes of ``model``."""
