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
    exit_code = 1
