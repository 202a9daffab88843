"""What is written down of those who administer the gateway, how it is read, and how a change is undone."""
