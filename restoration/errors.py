"""The errors a person can act on.

    RestorationError            one clear sentence, safe to show to a visitor
    ├── ImageFileError          the file is not a picture we can read, or breaks a limit
    ├── OptionError             an option has a value it cannot have
    │   └── UnknownModel        no card of that name (with a suggestion)
    ├── WeightsError            a checkpoint is missing, damaged or does not fit its network
    ├── DataError               a folder of training or evaluation pictures cannot be used
    └── Cancelled               the person asked to stop

Anything else that is raised is a bug and travels as it is.
"""


class RestorationError(Exception):
    """A problem the person in front of the screen can do something about, said in one sentence."""


class ImageFileError(RestorationError):
    """The file is not a picture this program reads, is damaged, or breaks one of the limits."""


class OptionError(RestorationError):
    """An option has a value it cannot have, or two options contradict each other."""


class UnknownModel(OptionError):
    """There is no model card of that name."""


class WeightsError(RestorationError):
    """A checkpoint is missing, damaged, or does not fit its network."""


class DataError(RestorationError):
    """A folder of training or evaluation pictures cannot be used."""


class Cancelled(RestorationError):
    """The work was stopped because somebody asked for it."""
