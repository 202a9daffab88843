"""What changes requests and answers is made of: templates, and the changes that a file asks for.

The plugins decide what is changed and when; here is how.
"""
