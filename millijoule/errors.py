"""Errors for people.

    MillijouleError        one line: what was wrong, where, both values, what to do
    ├── ModelError         a model file or graph that cannot be used
    ├── DataError          a data set that cannot be used
    ├── DeviceError        an unknown or incomplete device
    ├── OptionError        an option, or a set of options, that makes no sense
    ├── ToolError          a compiler, emulator or library that is missing or failed
    └── DoesNotFit         the model is too large for the device (exit code 1, not 2)

The command line prints the message and exits with `exit_code`; it never shows a traceback for these.
"""


class MillijouleError(Exception):
    exit_code = 2


class ModelError(MillijouleError):
    pass


class DataError(MillijouleError):
    pass


class DeviceError(MillijouleError):
    pass


class OptionError(MillijouleError):
    pass


class ToolError(MillijouleError):
    pass


class DoesNotFit(MillijouleError):
    """flash_bytes, ram_bytes: what is needed, the stack included, as far as it is known.

    The message has one line for what is missing, and lines that begin with `hint:` for where it lies and what to do.
    """

    exit_code = 1

    def __init__(self, message: str, flash_bytes: int = 0, ram_bytes: int = 0) -> None:
        super().__init__(message)
        self.flash_bytes, self.ram_bytes = flash_bytes, ram_bytes
