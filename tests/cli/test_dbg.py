import torch
from impasto import api


def test_dbg(run, quick, here):
    wide = ["64" if word == "48" else word for word in quick]
    for t in ("no", "xy"):
        assert run("texture", "style.png", "--method", "arbitrary", *wide, "--tileable", t, "-o", f"{t}.png").code == 0
        p = api.read(f"{t}.png").pixels
        for ax in (-1, -2):
            d = (p - p.roll(1, ax)).abs().mean((0, 1, -2 if ax == -1 else -1))
            print(t, ax, [round(float(x), 3) for x in d])
    assert 0
