"""How the gateway is looked at and steered, on listeners of their own."""
