"""The pages that supervisors see, in Chinese and English; reading and acting work without JavaScript.

Lives here: pages, templates, texts, static files.
May not: query the store in its own words, or show a text from outside as anything but text.
"""
