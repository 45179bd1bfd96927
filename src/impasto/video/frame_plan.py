"""The plan of a job that paints many frames."""

from __future__ import annotations

import dataclasses

from impasto.config.arbitrary import AUTO, SMALL_NETWORK, ArbitraryOptions
from impasto.config.job import Job, StyleSource
from impasto.image.files import Picture
from impasto.session.plan import Plan, plan_job
from impasto.styles.catalogue import StyleCatalogue
from impasto.styles.resolved import PictureStyle, ResolvedStyle, TrainedStyle


def frame_plan(job: Job, *, content: Picture) -> Plan:
    """The plan of a job whose content is a frame, with the networks that `auto` is."""
    if job.arbitrary.network != AUTO:
        return plan_job(job, content=content)
    catalogue = StyleCatalogue()
    plan = plan_job(dataclasses.replace(job, arbitrary=ArbitraryOptions()), catalogue=catalogue, content=content)
    small = [_small(style, catalogue) for style in plan.styles]
    sources = tuple(source for source in small if source is not None)
    if plan.method.gradual or len(sources) < len(small):
        return plan
    reads_network = "arbitrary" in plan.method.groups
    network = ArbitraryOptions(network=SMALL_NETWORK) if reads_network else ArbitraryOptions()
    return plan_job(
        dataclasses.replace(plan.job, styles=sources, arbitrary=network), catalogue=catalogue, content=content
    )


def _small(style: ResolvedStyle, catalogue: StyleCatalogue) -> StyleSource | None:
    """The style's source for networks with less arithmetic; None where it has none."""
    match style:
        case TrainedStyle():
            return catalogue.small(style)
        case PictureStyle() if SMALL_NETWORK in catalogue.installed:
            return style.source
        case _:
            return None
