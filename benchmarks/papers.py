"""What the weights of published codes are as weights of relative losses, for an encoder and a painting.

`python benchmarks/papers.py --style painting.jpg --content photo.jpg` prints, for pairs of content and style weight as
the codes of fast style transfer have them (Gram matrices over c · h · w, squared errors), the style weight that gives
each layer the same gradient beside a content weight of 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from impasto.config.fast_training import FastTrainOptions
from impasto.encoders import table as encoders
from impasto.image import files
from impasto.image.resize import fit, resized
from impasto.losses.statistics import gram

PAIRS = {
    "R1, 1": (1e5, 1e10),
    "R1, 2": (1e4, 1e11),
    "R1, 3 and 4": (1e6, 1e11),
    "R1, 5": (1e4, 1e21),
    "R3": (1e5, 1e10),
}


def main() -> None:
    """A Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--encoder", default="compact-vgg")
    given = parser.parse_args()
    encoder = encoders.load_encoder(given.encoder, precision="float32")
    content_layers, style_layers = encoder.defaults.content, encoder.defaults.style
    pictures = [files.read(path).pixels for path in (given.content, given.style)]
    px = FastTrainOptions().style_px
    content, style = (resized(p, fit((p.shape[-2], p.shape[-1]), short_side_px=px, enlarge=False)) for p in pictures)
    seen, wanted = encoder(content, content_layers), encoder(style, style_layers)
    of_content = sum(float(seen[name].square().mean()) for name in content_layers) / len(content_layers)
    of_style = {
        name: float(gram(wanted[name])[0].square().mean()) / wanted[name].shape[1] ** 2 for name in style_layers
    }
    print(f"| | content weight | style weight | {' | '.join(f'`{name}`' for name in style_layers)} |")
    print("|---|--:|--:|" + "--:|" * len(style_layers))
    for name, (content_weight, style_weight) in PAIRS.items():
        ours = [style_weight * size / (content_weight * of_content) for size in of_style.values()]
        print(f"| {name} | {content_weight:.0e} | {style_weight:.0e} | {' | '.join(f'{w:.2g}' for w in ours)} |")


if __name__ == "__main__":
    main()
