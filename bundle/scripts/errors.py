"""The one exception for what a user can put right: a bad file, option or setting."""


class InputError(ValueError):
    """Bad input. The message is one sentence: which file or option, what is wrong, what to do."""
