"""The losses of a training as a picture."""

import io
from collections.abc import Sequence

SIZE = (7.0, 3.5)


def draw(history: Sequence[dict], title: str) -> bytes:
    """An SVG of the losses over the steps; the same history, the same bytes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "clipgate", "svg.fonttype": "none"}):
        figure = Figure(SIZE, layout="constrained")
        axes = figure.add_subplot(xlabel="step", ylabel="loss", title=title)
        steps = [record["step"] for record in history]
        axes.plot(steps, [record["contrastive"] for record in history], label="contrastive")
        if any(record["features"] for record in history):
            beside = axes.twinx()
            beside.set_ylabel("squared distance to fp32's embedding")
            beside.plot(steps, [record["features"] for record in history], color="tab:orange", label="features")
            beside.legend(loc="upper center")
        axes.legend(loc="upper right")
        axes.grid(alpha=0.3)
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()
