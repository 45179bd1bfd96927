"""Trained styles whose norm parameters are tuned on photographs: how the styles of `compact-styles` were finished.

`python -m tools.tuned_styles predicted.safetensors styles.csv --contents photographs -o FOLDER` starts from a network
of `tools.predicted_styles` and the CSV that it was made from. The convolutions stay equal, bit for bit, so that the
styles still blend with predicted ones in one pass. Ctrl-C stops after a checkpoint; the same command resumes.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.nets.residual import Residual
from impasto.training.fast import TrainedStyles
from impasto.training.fast_run import prepare_fast
from impasto.training.new_style import of_norm_params
from impasto.training.run import Run
from impasto.weights import readers
from impasto.weights.card import Loaded, fill


def tuning(base: Loaded, options: FastTrainOptions, fitting: FastFitOptions) -> Run[TrainedStyles]:
    """The training of the norm parameters of `base`, with the styles of `options` in the order of its card."""
    numbers = {name: value for name, value in base.card.network.items() if name not in ("architecture", "output")}
    run = prepare_fast(options, fitting, network=Residual(**numbers))
    fill(run.task.network, base.tensors, where=base.card.name)
    training = run.metadata | {"fit": run.fitting.to_dict()}
    card = dataclasses.replace(
        base.card, training=training, source=f"{base.card.source} Then {fitting.steps} steps of the norm parameters."
    )
    return of_norm_params(run, base, card=card)


def main() -> None:
    """Train and write `network.safetensors` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", help="a network of trained styles: a name or a file")
    parser.add_argument("csv", type=Path)
    parser.add_argument("--contents", type=Path, nargs="+", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--content-weight", type=float, default=3.0)
    parser.add_argument("--style-weight", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    asked = parser.parse_args()
    base = readers.load_weights(asked.network)
    options = FastTrainOptions(
        name=base.card.name,
        start_from=asked.network,
        licence=base.card.licence,
        contents=tuple(asked.contents),
        styles=(asked.csv,),
        content_layers=("relu2_2", "relu3_3", "relu4_2"),
        content_weight=asked.content_weight,
        normalise_content=True,
        style_weight=asked.style_weight,
        sizes=3,
        style_px=384,
        short_side_px=512,
        smallest_crop=0.5,
        smoothness_weight=0,
        memory_gb=2,
    )
    fitting = FastFitOptions(
        steps=asked.steps,
        batch_size=asked.batch_size,
        learning_rate=asked.learning_rate,
        checkpoint_every=20,
        log_every=10,
        sample_every=0,
        precision="float32",
    )
    for progress in tuning(base, options, fitting).train(asked.output):
        if progress.step % fitting.log_every == 0:
            print(progress.step, {name: round(float(loss), 4) for name, loss in progress.losses.items()}, flush=True)


if __name__ == "__main__":
    main()
