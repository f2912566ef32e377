"""A report about the file that was written: its format, its depth, and what the format could not hold.

The engine knows the picture only; the page, the API and the command line all write files and say the same of them.
"""

from dataclasses import replace

from restoration.images.document import ImageDocument
from restoration.images.writing import encoding_notes, output_format, written_bits
from restoration.inference.report import Report


def as_written(report: Report, image: ImageDocument, format: str) -> Report:
    """The report with the output's real format and bits per channel, and the notes about what was lost in it.

    Args:
        image: the result that is written.
        format: as `write_image` takes it ("same", "png", "jpeg", "webp" or "tiff").
    """
    target = output_format(image, format)
    warnings = dict.fromkeys((*report.warnings, *encoding_notes(image, format)))
    output = replace(report.output, format=target.upper(), bits=written_bits(image, target))
    return replace(report, warnings=tuple(warnings), output=output)
