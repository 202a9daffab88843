"""What changes requests and answers is made of: templates, and messages' parts that keep what is not touched.

The plugins decide what is changed and when; here is how.
"""
