"""Writes splits.json: which Tiny ImageNet images train, calibrate and certify pocket.

    python models/pocket/make_splits.py --data ../shared/data

Run once, before the first training; the committed file is the record. Every trained class gives up 50
of its training images, drawn with a fixed seed: 10 set the quantisation ranges, 15 the temperature and
25 the thresholds, so that no image serves two of these. Twenty classes are never trained on.
"""

import argparse
import json
import random
from pathlib import Path

from safetensors import safe_open

SEED = 20261123
HELD_OUT = {"quantisation": 10, "temperature": 15, "thresholds": 25}

# What kiosks, robots, trail and factory cameras meet, with the name a user would type for it.
DEFAULT_LABELS = {
    "n01443537": "goldfish", "n01855672": "goose", "n01882714": "koala", "n01944390": "snail",
    "n02056570": "king penguin", "n02099601": "golden retriever", "n02106662": "German shepherd dog",
    "n02123045": "tabby cat", "n02125311": "cougar", "n02129165": "lion", "n02132136": "brown bear",
    "n02165456": "ladybug", "n02206856": "bee", "n02268443": "dragonfly",
    "n02279972": "monarch butterfly", "n02364673": "guinea pig", "n02395406": "pig",
    "n02410509": "bison", "n02486410": "baboon", "n02504458": "African elephant",
    "n02509815": "red panda", "n02769748": "backpack", "n02795169": "barrel",
    "n02802426": "basketball", "n02808440": "bathtub", "n02814860": "lighthouse",
    "n03085013": "computer keyboard", "n03388043": "fountain", "n03891332": "parking meter",
    "n03977966": "police van", "n04070727": "refrigerator", "n04074963": "remote control",
    "n04099969": "rocking chair", "n04146614": "school bus", "n04179913": "sewing machine",
    "n04285008": "sports car", "n04356056": "sunglasses", "n04366367": "suspension bridge",
    "n04398044": "teapot", "n04399382": "teddy bear", "n04465501": "tractor",
    "n04487081": "trolleybus", "n04507155": "umbrella", "n04540053": "volleyball",
    "n04562935": "water tower", "n07614500": "ice cream", "n07695742": "pretzel",
    "n07720875": "bell pepper", "n07734744": "mushroom", "n07747607": "orange",
    "n07749582": "lemon", "n07753592": "banana", "n07873807": "pizza", "n07920052": "espresso",
}  # fmt: skip

# Never trained on: relatives of the labels (near-OOD for development), some close, some not.
NEVER_TRAINED = [
    "n01910747", "n02099712", "n02123394", "n02226429", "n02437312", "n02481823", "n02814533",
    "n02823428", "n02909870", "n02948072", "n03100240", "n03179701", "n03662601", "n03837869",
    "n04118538", "n04254777", "n04486054", "n07615774", "n07715103", "n09256479",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of tiny-imagenet-train-*.safetensors")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_name("splits.json"))
    arguments = parser.parse_args()

    by_class: dict[str, list[int]] = {}
    names: dict[str, str] = {}
    start = 0
    for shard in sorted(arguments.data.glob("tiny-imagenet-train-*.safetensors")):
        with safe_open(shard, "np") as tensors:
            classes = json.loads(tensors.metadata()["classes"])
            labels = tensors.get_tensor("labels")
        names.update(classes)
        for offset, label in enumerate(labels):
            by_class.setdefault(classes[label][0], []).append(start + offset)
        start += len(labels)
    if not by_class:
        raise SystemExit(f"{arguments.data}: no tiny-imagenet-train-*.safetensors here")

    draw = random.Random(SEED)
    held_out: dict[str, list[int]] = {role: [] for role in HELD_OUT}
    trained = sorted(set(by_class) - set(NEVER_TRAINED))
    for wnid in trained:
        chosen = draw.sample(by_class[wnid], sum(HELD_OUT.values()))
        for role, count in HELD_OUT.items():
            held_out[role] += chosen[:count]
            chosen = chosen[count:]

    splits = {
        "seed": SEED,
        "source": "Tiny ImageNet-200 training images; an index counts through tiny-imagenet-train-0..3 in order",
        "labels": [{"wnid": wnid, "name": DEFAULT_LABELS[wnid]} for wnid in sorted(DEFAULT_LABELS)],
        "trained_wnids": trained,
        "never_trained_wnids": sorted(NEVER_TRAINED),
        "held_out": {role: sorted(indices) for role, indices in held_out.items()},
    }
    arguments.output.write_text(json.dumps(splits, separators=(",", ":")).replace('],"', '],\n"') + "\n")
    print(f"{arguments.output}: {len(trained)} trained classes, {len(DEFAULT_LABELS)} default labels")


if __name__ == "__main__":
    main()
