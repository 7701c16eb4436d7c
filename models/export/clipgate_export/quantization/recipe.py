"""What a quantisation is asked to do, and what it reports."""

from dataclasses import asdict, dataclass, field

CALIBRATORS = ("minmax", "quantile", "percentile", "entropy")
# ONNX has no type of 6 bits, and ONNX Runtime no kernels for 4: both are levels of int8, stored in 8 bits.
WEIGHT_BITS = (8, 6, 4)
FP32_BITS = 32


@dataclass(frozen=True)
class Recipe:
    """How one int8 graph is made.

    `calibrator`: which values bound a tensor's range. "minmax": the furthest of all images. "quantile": each
    image has its extremes, and the share `percentile` of the images stays within. "percentile": the share
    `percentile` of all values stays within, half of the rest beyond either end. "entropy": the symmetric range
    of least Kullback-Leibler divergence (Migacz, GTC 2017).
    `percentile`: [50, 100]. `smooth_alpha`: SmoothQuant's migration strength, [0, 1], or nothing for none.
    `rotation`: the seed of the random rotation of the residual stream (see `rotation.rotate`), or nothing for none.
    `per_channel`: a scale for every output channel of a weight. `activation_bits`: 8 or 16.
    `weight_bits`: 8, 6 or 4; of less than 8 the weights use the levels -(2^(b-1) - 1) to 2^(b-1) - 1 of int8.
    `keep_float`: nodes of the graph that is quantised (see `Report.layers`) which stay in fp32.
    `target_cosine`, `target_centred`: below these mean cosines to fp32 (see `Likeness`) the layers that quantisation
    hurts most are kept in `fallback_bits` (32: fp32, 16: 16-bit activations) until both are reached.
    """

    calibrator: str = "minmax"
    percentile: float = 99.99
    smooth_alpha: float | None = None
    rotation: int | None = None
    per_channel: bool = False
    activation_bits: int = 8
    weight_bits: int = 8
    keep_float: tuple[str, ...] = ()
    target_cosine: float | None = None
    target_centred: float | None = None
    fallback_bits: int = 32

    def __post_init__(self) -> None:
        if self.calibrator not in CALIBRATORS:
            raise ValueError(f"calibrator {self.calibrator!r}: one of {', '.join(CALIBRATORS)}")
        if not 50 <= self.percentile <= 100:
            raise ValueError(f"percentile {self.percentile}: must be in 50 to 100")
        if self.smooth_alpha is not None and not 0 <= self.smooth_alpha <= 1:
            raise ValueError(f"smooth alpha {self.smooth_alpha}: must be in 0 to 1")
        if self.activation_bits not in (8, 16):
            raise ValueError(f"activation bits {self.activation_bits}: 8 or 16")
        if self.weight_bits not in WEIGHT_BITS:
            raise ValueError(f"weight bits {self.weight_bits}: one of {', '.join(map(str, WEIGHT_BITS))}")
        if self.rotation is not None and self.smooth_alpha is not None:
            raise ValueError("rotation and smoothing: take one of them, both spread the outliers of the same tensors")
        if self.fallback_bits not in (16, 32):
            raise ValueError(f"fallback bits {self.fallback_bits}: 16 or 32")
        for target in (self.target_cosine, self.target_centred):
            if target is not None and not 0 < target < 1:
                raise ValueError(f"target cosine {target}: must be between 0 and 1")

    def reached(self, plain: float, centred: float) -> bool:
        """Whether these mean cosines are the targets', as far as there are any; NaN reaches none."""
        targets = ((self.target_cosine, plain), (self.target_centred, centred))
        return all(target is None or found >= target for target, found in targets)

    def words(self) -> str:
        """For people and as a key: "percentile 99.99, alpha 0.5, per channel, w8a16"."""
        parts = [self.calibrator]
        if self.calibrator in ("quantile", "percentile"):
            parts[0] += f" {self.percentile:g}"
        if self.smooth_alpha is not None:
            parts.append(f"alpha {self.smooth_alpha:g}")
        if self.rotation is not None:
            parts.append("rotated")
        parts.append("per channel" if self.per_channel else "per tensor")
        parts.append(f"w{self.weight_bits}a{self.activation_bits}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Layer:
    """Some neighbouring nodes that are quantised or kept together.

    `damage` is 1 - the mean centred cosine to fp32 of the embedding when this layer alone is quantised.
    """

    name: str
    nodes: tuple[str, ...]
    damage: float | None = None


@dataclass(frozen=True)
class Report:
    """What was made. Cosines are those of int8 to fp32 embeddings over `judged` of the calibration images.

    `centred_cosine` is the mean, `worst_centred` the least with the mean fp32 embedding taken from both sides, and
    `alike` the mean cosine between different images' fp32 embeddings (see `Likeness`). `candidates` holds every
    recipe's mean cosines, plain and centred; `recipe` won. `layers` are the layers with their damage, worst first,
    where they had to be measured; the first `kept` of them stay in `recipe.fallback_bits` bits. `packed_bytes` is the
    size that the graph would have with its weights packed in `recipe.weight_bits` bits.
    """

    recipe: Recipe
    images: int
    judged: int
    calibration_sha256: str
    mean_cosine: float
    p1_cosine: float
    centred_cosine: float
    worst_centred: float
    alike: float
    candidates: dict[str, dict[str, float]]
    savings: dict[str, float]
    kept: int = 0
    layers: tuple[Layer, ...] = ()
    sha256: str = ""
    share_of_fp32: float = 0.0
    packed_bytes: int = 0
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def target_met(self) -> bool:
        return self.recipe.reached(self.mean_cosine, self.centred_cosine)

    def record(self) -> dict:
        """For a manifest or a report in JSON."""
        record = asdict(self)
        record["target_met"] = self.target_met
        return record

    def lines(self) -> list[str]:
        """For people: what was kept and why, and what came out."""
        lines = [
            f"recipe: {self.recipe.words()}, on {self.images} images",
            f"cosine to fp32: mean {self.mean_cosine:.4f}, 1st percentile {self.p1_cosine:.4f}, {self.judged} images",
            f"less the mean embedding: mean {self.centred_cosine:.4f}, worst {self.worst_centred:.4f}",
            f"size: {self.share_of_fp32:.1%} of fp32",
        ]
        if self.recipe.weight_bits < 8:
            lines.append(f"packed in {self.recipe.weight_bits} bits a weight it would have {self.packed_bytes:,} bytes")
        lines += [f"{name} = {value:g}" for name, value in self.savings.items()]
        if len(self.candidates) > 1:
            lines += [
                f"tried: {words}: mean cosine {tried['cosine']:.4f}, centred {tried['centred']:.4f}"
                for words, tried in self.candidates.items()
            ]
        kept = "fp32" if self.recipe.fallback_bits == 32 else "16 bit"
        for layer in self.layers[: self.kept]:
            lines.append(
                f"kept in {kept}: {layer.name}: quantised alone it costs {layer.damage:.2e} of the centred cosine"
            )
        if not self.target_met:
            targets = [t for t in (self.recipe.target_cosine, self.recipe.target_centred) if t is not None]
            lines.append(f"the target cosine {' and centred '.join(map(str, targets))} was not reached")
        return lines
