"""Names beside dots, each where it covers no other name and no dot."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

SIZE = 6.5
# Of a letter, in its own size: width and height.
LETTER = (0.58, 1.15)
# Where a name may begin, in points from its dot; -1 stands for its own width to the left.
# None is level with it: a line through the dot shows its interval.
UP = (2, -9, 10, -17, 18, -25, 26, -33)
OFFSETS = [(across, up) for across in (6, -1) for up in UP]
DOT = 4


def name_dots(axes: Axes, dots: Sequence[tuple[str, str, float, float]]) -> None:
    """`dots` are names with their colours and places in the axes' data.

    A name that fits nowhere stands at the first offset.
    """
    points = axes.figure.dpi / 72
    places = [axes.transData.transform((x, y)) / points for *_, x, y in dots]
    taken = [Bbox.from_bounds(x - DOT, y - DOT, 2 * DOT, 2 * DOT) for x, y in places]
    for (words, colour, x, y), (left, bottom) in zip(dots, places, strict=True):
        width, height = len(words) * SIZE * LETTER[0], SIZE * LETTER[1]
        tried = [(across if across > 0 else -6 - width, up) for across, up in OFFSETS]
        boxes = [Bbox.from_bounds(left + across, bottom + up, width, height) for across, up in tried]
        free = [place for place, box in enumerate(boxes) if not any(box.overlaps(other) for other in taken)]
        place = free[0] if free else 0
        taken.append(boxes[place])
        style = {"fontsize": SIZE, "color": colour, "annotation_clip": False}
        axes.annotate(words, (x, y), tried[place], textcoords="offset points", **style)
