"""The plan of a job that paints many frames."""

from __future__ import annotations

import dataclasses

from impasto.config.arbitrary import AUTO, SMALL_NETWORK, ArbitraryOptions
from impasto.config.job import Job
from impasto.image.files import Picture
from impasto.session.plan import Plan, plan_job
from impasto.styles.resolved import PictureStyle
from impasto.weights.catalogue import installed


def frame_plan(job: Job, *, content: Picture) -> Plan:
    """The plan of a job whose content is a frame, with the network that `auto` is."""
    if job.arbitrary.network != AUTO:
        return plan_job(job, content=content)
    plan = plan_job(dataclasses.replace(job, arbitrary=ArbitraryOptions()), content=content)
    small = any(row.name == SMALL_NETWORK for row in installed())
    pictures = "arbitrary" in plan.method.groups and all(isinstance(style, PictureStyle) for style in plan.styles)
    if not small or not pictures:
        return plan
    small_job = dataclasses.replace(plan.job, arbitrary=ArbitraryOptions(network=SMALL_NETWORK))
    return dataclasses.replace(plan, job=small_job)
