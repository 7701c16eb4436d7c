"""The losses of a training as a picture."""

import io
from collections.abc import Sequence

SIZE = (7.0, 3.5)


def draw(history: Sequence[dict], title: str) -> bytes:
    """An SVG of the losses over the steps; the same history, the same bytes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context({"svg.hashsalt": "clipgate", "svg.fonttype": "none"}):
        figure = Figure(SIZE, layout="constrained")
        axes = figure.add_subplot(xlabel="step", ylabel="contrastive loss", title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        steps = [record["step"] for record in history]
        # With dots: a short training is logged once.
        lines = axes.plot(steps, [record["contrastive"] for record in history], ".-", label="contrastive")
        if any(record["features"] for record in history):
            beside = axes.twinx()
            beside.set_ylabel("squared distance to fp32's embedding")
            distances = [record["features"] for record in history]
            lines += beside.plot(steps, distances, ".-", color="tab:orange", label="distance to fp32")
            beside.set_ylim(bottom=0)
        axes.set_ylim(bottom=0)
        if len(lines) > 1:
            axes.legend(handles=lines, loc="upper right")
        axes.grid(alpha=0.3)
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()
