"""The four tasks: what a visitor can ask for.

A task knows its words and its default model; it knows nothing of networks, pages or files.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing that can be done to a photograph.

    id: the id in the CLI, the API and the model cards.
    title: the name on the tab.
    endpoint: the name of the API endpoint, without the slash.
    suffix: what is appended to the name of the result ("beach-deblurred.jpg").
    sentence: what it does, for people.
    default_model: the family that is used unless a model is named.
    baseline: what a model of this task must beat to be offered.
    """

    id: str
    title: str
    endpoint: str
    suffix: str
    sentence: str
    default_model: str
    baseline: str


DEBLUR = Task(
    id="deblur",
    title="Deblur",
    endpoint="deblur",
    suffix="deblurred",
    sentence="Sharpens a photo blurred by camera shake.",
    default_model="blind-wiener-unet",
    baseline="the blurred input",
)
ENHANCE = Task(
    id="enhance",
    title="Enhance",
    endpoint="enhance",
    suffix="enhanced",
    sentence="Cleans noise, JPEG blocks and softness at the same size.",
    default_model="residual-unet-enhance",
    baseline="the degraded input",
)
ENLARGE = Task(
    id="enlarge",
    title="Enlarge",
    endpoint="enlarge",
    suffix="enlarged",
    sentence="Makes a small photo 2, 3 or 4 times larger, sharper than resizing does.",
    default_model="edsr-baseline",
    baseline="bicubic interpolation",
)
FACES = Task(
    id="faces",
    title="Face restore",
    endpoint="restore_faces",
    suffix="faces-restored",
    sentence="Finds the faces in a photo, restores each one and leaves the rest untouched.",
    default_model="residual-unet-faces",
    baseline="the degraded input",
)

TASKS: dict[str, Task] = {task.id: task for task in (DEBLUR, ENHANCE, ENLARGE, FACES)}
